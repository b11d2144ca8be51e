// Finds the number that an ALTCHA challenge (version 1) asks for, beside the page, and sends it.

// SHA-256 (FIPS 180-4) of a salt and each number from 0 on, until one has the hash that is looked for; -1 for none. It
// stands alone, for a worker is made of its text.
function search({ challenge, salt, maxnumber }) {
  const fraction = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
  const K = [], H = [];
  for (let n = 2; K.length < 64; n++) {
    let prime = true;
    for (let f = 2; f * f <= n; f++) prime = prime && n % f !== 0;
    if (!prime) continue;
    if (H.length < 8) H.push(fraction(n ** (1 / 2)));
    K.push(fraction(n ** (1 / 3)));
  }
  const turn = (x, by) => (x >>> by) | (x << (32 - by));
  const W = new Int32Array(64);
  const compress = (state, view, at) => {
    for (let i = 0; i < 16; i++) W[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i++) {
      const a = W[i - 15], b = W[i - 2];
      W[i] = W[i - 16] + W[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ (a >>> 3)) + (turn(b, 17) ^ turn(b, 19) ^ (b >>> 10));
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const t = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
      const u = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t) | 0; d = c; c = b; b = a; a = (t + u) | 0;
    }
    return [a, b, c, d, e, f, g, h].map((x, i) => (x + state[i]) | 0);
  };
  const start = new TextEncoder().encode(salt), whole = start.length & ~63, rest = start.subarray(whole);
  const first = parseInt(challenge.slice(0, 8), 16) | 0;
  let middle = H;
  for (let at = 0; at < whole; at += 64) middle = compress(middle, new DataView(start.buffer), at);
  const last = new Uint8Array(128), view = new DataView(last.buffer);
  for (let number = 0; number <= maxnumber; number++) {
    const digits = String(number);
    let length = rest.length;
    last.fill(0);
    last.set(rest);
    for (let i = 0; i < digits.length; i++) last[length++] = digits.charCodeAt(i);
    last[length] = 128;
    const end = length < 56 ? 64 : 128;
    view.setUint32(end - 4, (whole + length) * 8);
    let state = middle;
    for (let at = 0; at < end; at += 64) state = compress(state, view, at);
    if (state[0] === first && state.map((x) => (x >>> 0).toString(16).padStart(8, "0")).join("") === challenge) return number;
  }
  return -1;
}

const form = document.querySelector("form");
const task = JSON.parse(document.getElementById("challenge").textContent);
const { algorithm, challenge, salt, signature } = task;

// Whatever goes wrong here, waiting does it too.
setTimeout(() => location.replace(form.dataset.patience), form.dataset.after * 1000);

const source = `onmessage = ({ data }) => postMessage((${search})(data))`;
const worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
worker.onmessage = ({ data: number }) => {
  if (number < 0) return;
  form.elements.altcha.value = btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
  form.submit();
};
worker.postMessage(task);
