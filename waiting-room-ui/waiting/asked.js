// What happens only when asked for: a tone and a note when it is the visitor's turn, and a link to another device.

/** Plays two short tones, without a file; resolves when they are over. */
function ring(sound) {
  const start = sound.currentTime + 0.02;
  for (const [i, hertz] of [660, 880].entries()) {
    const tone = sound.createOscillator(), loud = sound.createGain(), at = start + i * 0.22;
    tone.frequency.value = hertz;
    loud.gain.setValueAtTime(0, at);
    loud.gain.linearRampToValueAtTime(0.25, at + 0.03);
    loud.gain.exponentialRampToValueAtTime(0.001, at + 0.3);
    tone.connect(loud).connect(sound.destination);
    tone.start(at);
    tone.stop(at + 0.32);
  }
  return new Promise((done) => setTimeout(done, 600));
}

/** Offers to tell of the turn; returns what tells of it, which does nothing while nobody asked. */
export function bell(button, told, voice) {
  let sound = null, notes = false;
  if (!button || !told) return async () => {};
  button.hidden = !window.AudioContext;
  button.addEventListener("click", async () => {
    sound = new AudioContext();
    await sound.resume();
    notes = window.Notification ? (await Notification.requestPermission().catch(() => "denied")) === "granted" : false;
    button.hidden = true;
    told.textContent = voice.say(notes ? "will_tell" : "will_ring");
    ring(sound);
  });
  return async (text) => {
    if (!sound) return;
    try { if (notes) new Notification(text, { tag: "vestibule", requireInteraction: true }); } catch { /* some phones allow none from a page */ }
    await ring(sound);
  };
}

/** Makes a link to another device where it is asked for, and shows it in place. */
export function device(details, voice) {
  const [form, made, works] = ["form", "[data-made]", "[data-works]"].map((part) => details?.querySelector(part));
  if (!form || !works) return;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const answer = await fetch(form.action, { method: "POST", headers: { accept: "application/json" }, signal: AbortSignal.timeout(POLL_TIMEOUT_MS) });
      if (!answer.ok) throw new Error("refused");
      const { link, qr, expires_in_seconds } = await answer.json();
      made.querySelector("input").value = new URL(link, location.href).href;
      const picture = new DOMParser().parseFromString(qr, "image/svg+xml").documentElement;
      made.querySelector("[data-code]").replaceChildren(picture);
      works.textContent = voice.say("link_works", { span: span(expires_in_seconds, voice) });
      for (const part of made.children) part.hidden = false;
    } catch {
      for (const part of made.children) part.hidden = part !== works;
      works.textContent = voice.say("link_failed");
    }
    made.hidden = false;
  });
  made.querySelector("[data-copy]")?.addEventListener("click", () => {
    const field = made.querySelector("input");
    field.select();
    navigator.clipboard?.writeText(field.value).catch(() => {});
  });
}
