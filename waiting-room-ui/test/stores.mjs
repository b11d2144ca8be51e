// Real stores for a test file, on free ports: each keeps nothing, and ends with this process at the latest.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./browser.mjs";

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Starts a Redis. */
export async function startRedis() {
  const port = await freePort();
  const server = spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  server.stdout.on("data", (part) => { said += part; });
  await until(() => said.includes("Ready to accept connections"), "Redis starts");
  return { url: `redis://127.0.0.1:${port}`, end: async () => { server.kill("SIGTERM"); await once(server, "exit"); } };
}

// A shell that reads from us: when we end, however we end, its input ends, and it stops the server by its id.
const KEEPER = `
  cd "$2" && PATH="$1:$PATH"
  initdb -D data -U booking -A trust -E UTF8 --no-sync >log 2>&1 || exit 1
  postgres -D data -p "$3" -k "$2" -h 127.0.0.1 >>log 2>&1 </dev/null &
  server=$!
  read -r word
  kill -INT $server; wait $server
  cd / && rm -rf "$2"
`;

/** The folder with initdb: where Debian puts it, or on the path. */
function programs() {
  const versions = existsSync("/usr/lib/postgresql") ? readdirSync("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`) : [];
  const found = [...process.env.PATH.split(":"), ...versions].find((folder) => existsSync(join(folder, "initdb")));
  if (!found) throw new Error("this test needs PostgreSQL's initdb and postgres; install the postgresql package");
  return found;
}

/** Starts a PostgreSQL, which refuses to run as root. */
export async function startPostgres() {
  const folder = mkdtempSync(join(tmpdir(), "lab-pg-")), port = await freePort();
  chmodSync(folder, 0o700);
  const shell = ["sh", "-c", KEEPER, "keeper", programs(), folder, String(port)];
  if (process.getuid?.() === 0) {
    if (spawnSync("chown", ["postgres", folder]).status !== 0) throw new Error("there is no user postgres to run PostgreSQL as");
    shell.unshift("runuser", "-u", "postgres", "--");
  }
  const keeper = spawn(shell[0], shell.slice(1), { stdio: ["pipe", "inherit", "inherit"] });
  const log = () => { try { return readFileSync(join(folder, "log"), "utf8"); } catch { return ""; } };
  await until(() => log().includes("ready to accept connections"), "PostgreSQL starts", 60_000).catch((error) => { throw new Error(`${error.message}\n${log()}`); });
  return { url: `postgres://booking@127.0.0.1:${port}/postgres`, end: async () => { keeper.stdin.end(); await once(keeper, "exit"); } };
}
