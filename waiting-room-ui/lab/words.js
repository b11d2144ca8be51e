// What the lab teaches, in words: the ways, the statements, and how it ended. Pure.

export const PEOPLE = ["Asha", "Ben"];

/** The ways in the order in which they are shown. `turn` is the order of clicks that shows the point of each. */
export const WAYS = {
  "read-then-write": {
    name: "Read, then write", turn: [1, 2],
    idea: "Read how many are left, take one off, write the result. It looks right, and it passes every test with one person.",
    look: "Let both read before either writes: both read 1, both write 0, and both are told that they have the seat.",
  },
  "read-then-write-in-transaction": {
    name: "The same, in a transaction", turn: [1, 2],
    idea: "BEGIN and COMMIT around it. That keeps the statements together; it does not keep what was read from growing old.",
    look: { postgres: "Let both read. Ben's write then waits for Asha's commit, and overwrites it all the same: PostgreSQL's usual level (READ COMMITTED) does not look back at what was read.", sqlite: "Let both read. SQLite sees that what Ben read has changed since, and refuses his write with an error. He is not sold a seat that is gone, but he is not told so kindly either." },
  },
  conditional: {
    name: "Conditional update", turn: [1, 1, 2, 2, 1],
    idea: "The condition and the change are one statement, so the database does them under one lock. The default way here, for many buyers in one commit.",
    look: "Let Asha take the seat, and let Ben try before she commits: he waits for her lock, and then finds that the condition does not hold any more.",
  },
  pessimistic: {
    name: "The row is locked", turn: [1, 1, 2, 2, 1],
    idea: { postgres: "SELECT … FOR UPDATE: whoever reads the row has it until the commit, and may think as long as it takes. Everybody else waits.", sqlite: "Whoever reads has the lock until the commit. SQLite has no row locks: BEGIN IMMEDIATE locks the whole file." },
    look: "Let Asha read. Ben cannot even read until she is done; then he reads what she has left.",
  },
  optimistic: {
    name: "The version has not changed", turn: [1, 2, 1, 1, 1, 1, 2],
    idea: "Nobody waits. Everybody remembers which version they read, and writes only if it is still that one; else they begin again.",
    look: "Let both read version 0. Asha writes version 1. Ben's write finds no version 0, so he rolls back and reads again: sold out.",
  },
  "seat-key": {
    name: "A unique key on the seat", turn: [1, 2],
    idea: "A seat that has an owner is a row of a table, and its key can be written once. What was read before does not matter.",
    look: "Both see that seat 1 has no owner. Ben's insert waits for Asha's, and then comes to nothing.",
  },
  "seat-lock": {
    name: "A lease in Redis, and the key", turn: [1, 2],
    idea: "Before the database is asked, the seat is leased in Redis (SET … NX PX). Whoever comes second is turned away without a transaction. The lease is a courtesy: it can end early, and then the unique key decides.",
    look: "Let Asha lease the seat: Ben is turned away at once. Then begin again, end the lease while she is still at it, and see who decides.",
  },
  tickets: {
    name: "The lowest free number", turn: [1, 2],
    idea: "Numbered tickets, given in order. The same unique key; whoever loses a number looks for the next.",
    look: "Both find that number 1 is free. One gets it; the other looks again, and there is no number 2.",
  },
};

/** Tells which ways sell a seat twice. */
export const BROKEN = ["read-then-write", "read-then-write-in-transaction"];

/** Picks the words for a database where they differ. */
export const forEngine = (words, engine) => (typeof words === "string" ? words : words[engine]);

const STEPS = {
  begin: "Opens a transaction. Nothing is locked yet.",
  "begin-locked": { postgres: "Opens a transaction.", sqlite: "Opens a transaction and locks the file for writing, now." },
  read: "Reads how many are left. Nothing keeps that true afterwards.",
  "read-locked": { postgres: "Reads how many are left and locks the row until the commit.", sqlite: "Reads how many are left; the file is locked already." },
  "read-version": "Reads how many are left, and which version of the row that is.",
  "read-seat": "Reads whether the seat has an owner. It is a hint; nothing keeps it true.",
  "lowest-free": "Finds the lowest number without an owner. It is a hint, too.",
  overwrite: "Writes what was computed from what was read.",
  "take-if": "Takes one if there is one: the condition is judged and the row changed under one lock.",
  "take-if-version": "Writes only if the row still has the version that was read.",
  "take-seat": "Writes the seat down for oneself. The key can be written once.",
  "count-down": "Takes one off the count; which seat it is has been decided.",
  hold: "Writes the hold: this is what the buyer is told.",
  commit: "Makes it last. From here on everybody sees it.",
  rollback: "Undoes what was done since BEGIN.",
  lease: "Asks Redis for the seat, for 20 seconds, if nobody has it.",
  "let-go": "Gives the lease back, if it is still one's own.",
};

/** Explains a statement. */
export const stepWords = (step, engine) => forEngine(STEPS[step] ?? "", engine);

const ENDINGS = {
  sold: ["Has the seat", "good"], refused: ["Was told: sold out", "calm"], turned_away: ["Turned away by Redis; the database was not asked", "calm"],
  gave_up: ["Gave up after a dozen tries", "calm"], failed: ["Got an error from the database", "bad"], left: ["Left: nobody clicked for too long, and what was open was rolled back", "calm"],
};

/** Says how it ended for one person, with a mood. */
export const endingWords = (ending) => ENDINGS[ending] ?? [ending, "calm"];

/** What somebody does not know who has neither a seat nor a refusal. */
const UNTOLD = { failed: "got an error and does not know why", gave_up: "gave up and was not told that it is gone", left: "left before the end" };

/** Says what came of it all, once both are at the end; `null` before. It says nothing that the two people's cards do not. */
export function verdict({ over, table, people }) {
  if (!over) return null;
  const holds = table.holds.length;
  if (holds > table.capacity) return { mood: "bad", words: `Sold twice. The table says ${table.available} left, both were told that they have the seat, and there is one.` };
  const untold = people.map(({ ending }, i) => UNTOLD[ending] && `${PEOPLE[i]} ${UNTOLD[ending]}`).filter(Boolean).join(", and ");
  const mood = people.some(({ ending }) => ending === "failed" || ending === "gave_up") ? "warn" : "calm";
  if (holds === 0) return { mood, words: untold ? `Nobody has the seat: ${untold}.` : "Nobody has the seat." };
  if (untold) return { mood, words: `Sold once, but ${untold}.` };
  return { mood: "good", words: "Sold once. One has the seat, the other knows that it is gone." };
}

/** Says a time in microseconds: "0.4 ms", "12 ms", "3.1 s". */
export function time(us) {
  if (us < 10_000) return `${(us / 1000).toFixed(1)} ms`;
  return us < 1_000_000 ? `${Math.round(us / 1000)} ms` : `${(us / 1_000_000).toFixed(1)} s`;
}

/**
 * Says whether a rush went as it should: seats sold twice are a fault, and so are seats left over though a thousand came.
 * Where people got errors it did not go well either.
 */
export function moodOf({ sold, oversold, failed }, seats) {
  if (oversold > 0 || sold < seats) return "bad";
  return failed > 0 ? "warn" : "good";
}
