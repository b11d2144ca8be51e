// Money, times and the parts of an inventory id, in words.

const rupees = new Intl.NumberFormat("en-IN", { style: "currency", currency: "INR", maximumFractionDigits: 2, minimumFractionDigits: 0 });
const long = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });

const short = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "Asia/Kolkata" });

const CLASSES = {
  "1A": "First AC", "2A": "Two-tier AC", "3A": "Three-tier AC", "3E": "Three-tier economy", EC: "Executive chair", CC: "Chair car", SL: "Sleeper", "2S": "Second sitting",
};

/** Formats paise as rupees. */
export const money = (paise) => (paise == null ? "" : rupees.format(paise / 100));

/** Names a class in words. */
export const className = (code) => CLASSES[code] ?? code;

/** Says a date (YYYY-MM-DD) in words. */
export const day = (date) => (/^\d{4}-\d{2}-\d{2}$/.test(date ?? "") ? long.format(new Date(`${date}T00:00:00Z`)) : date ?? "");

/** Says a moment in words, by the railway's clock. */
export const moment = (ms) => (ms == null ? "" : `${short.format(ms)} (India)`);

/** Says how long a train runs. */
export function duration(minutes) {
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Takes `TRAIN:DATE:CLASS` apart, or answers null. */
export function inventoryParts(id) {
  const found = /^([^:]+):(\d{4}-\d{2}-\d{2}):([^:]+)$/.exec(id ?? "");
  return found && { train: found[1], date: found[2], class: found[3] };
}

/** Gives a day counted from today, as the railway's own clock has it. */
export function dayFromToday(days, nowMs = Date.now()) {
  return new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Kolkata" }).format(nowMs + days * 86_400_000);
}

/** Says the time left: "4:05". */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Says seats: "1 seat", "12 seats". */
export const seats = (n) => `${n} ${n === 1 ? "seat" : "seats"}`;

/** Lists words: "A1-3, A1-4 and A1-7". */
export const listed = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);

/** Names the numbered seats of a hold or booking: " (B1-14, B2-6)"; nothing where seats have no numbers. */
export function named(items) {
  const labels = (items ?? []).flatMap((item) => item.seats ?? []);
  return labels.length > 0 ? ` (${labels.join(", ")})` : "";
}
