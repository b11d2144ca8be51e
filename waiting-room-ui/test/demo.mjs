// The real thing: `vestibule demo` in VESTIBULE_BIN, on ports of its own, keeping nothing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { until } from "./browser.mjs";

const START_MS = 60_000, STOP_MS = 15_000;

/** Starts the demo and reads its addresses from the lines it prints. */
export async function startDemo(...more) {
  const bin = process.env.VESTIBULE_BIN;
  assert.ok(bin, "VESTIBULE_BIN must name the built vestibule; ./test sets it");
  const args = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--booking", "127.0.0.1:0", "--data", ":memory:", ...(more.includes("--rate") ? [] : ["--rate", "1"]), ...more];
  const process_ = spawn(bin, args, { stdio: ["ignore", "pipe", "pipe"] });
  const found = {}, lines = [];
  for (const stream of [process_.stdout, process_.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      const [, name, value] = /^\s*(gateway|console|booking|lab|token)\s+(\S+)/.exec(line) ?? [];
      if (name) found[name] ??= value;
    });
  }
  const wanted = ["gateway", "console", "booking", "lab", "token"];
  await until(() => process_.exitCode !== null || wanted.every((name) => found[name]), "the lines of the demo", START_MS).catch((error) => { throw new Error(`${error.message}\n${lines.join("\n")}`); });
  assert.equal(process_.exitCode, null, `the demo ended:\n${lines.join("\n")}`);
  // An address may be printed with the token in it; the parts are wanted alone.
  const origin = (name) => new URL(found[name]).origin;
  const end = async () => {
    process_.kill("SIGTERM");
    const slow = setTimeout(() => process_.kill("SIGKILL"), STOP_MS);
    await once(process_, "exit");
    clearTimeout(slow);
  };
  return { gateway: origin("gateway"), console: origin("console"), booking: origin("booking"), lab: found.lab, token: found.token.replace(/^.*token=/, ""), end };
}
