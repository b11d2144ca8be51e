"""The processes of a drill: each can be killed, frozen and started again, and ends with the drill, however that ends."""

import ctypes, os, pathlib, shutil, signal, subprocess, time

PATIENCE_S = 60
AGAIN_S = 0.3
"""How long a program that ended by itself is left alone before it is started again."""

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1


def end_with_us():
    """Has the kernel kill this child when the thread that started it ends, were it by kill -9."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One program. Start it from the main thread only: it is killed when the thread that started it ends."""

    def __init__(self, name, folder, words, user=None):
        self.name, self.folder, self.words, self.user = name, pathlib.Path(folder), [str(word) for word in words], user
        self.process, self.wanted, self.ended_at, self.ended_by_itself = None, False, 0.0, []

    def start(self):
        self.wanted, self.ended_at = True, 0.0
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                self.words, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_us, **self.as_user(),
            )  # fmt: skip

    def as_user(self):
        is_another = self.user and os.getuid() == 0
        return {"user": self.user, "group": self.user, "extra_groups": []} if is_another else {}

    def family(self):
        """The process and its children; those of PostgreSQL are in sessions of their own."""
        parents = {}
        for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(entry.parent.name)] = int(entry.read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
        return [self.process.pid, *(pid for pid, parent in parents.items() if parent == self.process.pid)]

    def signal(self, what):
        for pid in self.family() if self.process.poll() is None else []:
            try:
                os.kill(pid, what)
            except ProcessLookupError:
                continue

    def kill(self):
        self.note_end()
        self.wanted = False
        self.signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def watch(self):
        """Starts it again if it ended by itself, as a service manager does; how it ended is remembered."""
        self.note_end()
        if self.ended_at and time.monotonic() - self.ended_at >= AGAIN_S:
            self.start()

    def note_end(self):
        """Writes down once that it ended though nobody asked it to."""
        if self.wanted and not self.ended_at and self.process.poll() is not None:
            self.ended_at = time.monotonic()
            self.ended_by_itself.append(self.process.returncode)

    def crashes(self):
        """Ends that no program should come to: by a signal, or by a panic."""
        return [code for code in self.ended_by_itself if code < 0 or code == 101]

    def log_end(self, size=1500):
        return (self.folder / f"{self.name}.log").read_bytes()[-size:].decode(errors="replace")


class Redis(Process):
    def __init__(self, folder, port):
        words = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"]
        super().__init__("redis", folder, [*words, "--appendfsync", "everysec"])

    def forget(self):
        """Kills it and takes away what it kept on disk."""
        self.kill()
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)


class PostgreSQL(Process):
    def __init__(self, folder, port):
        self.data = folder / "postgresql"
        words = [postgresql_program("postgres"), "-D", self.data, "-p", port, "-k", self.data, "-h", "127.0.0.1"]
        super().__init__("postgresql", folder, words, user="postgres")

    def create(self):
        self.data.mkdir()
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(self.data, "postgres", "postgres")
        command = [postgresql_program("initdb"), "-D", self.data, "-U", "booking", "-A", "trust", "-E", "UTF8"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.as_user())


def postgresql_program(name):
    """Finds a program of PostgreSQL: on the path, or where Debian puts it."""
    installed = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or next(iter(installed), None)
    if not found:
        raise SystemExit(f"drill: there is no {name}; install the package postgresql")
    return found
