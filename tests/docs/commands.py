"""The commands of the documentation. A block of ```sh is run by run.py, unless NOT_RUN says why not; every other command is held
to its program by check.py: it is there, and has each option that is named. What neither can be done with stands in OF_OTHERS."""

import functools, os, pathlib, re, shlex, subprocess, textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
VESTIBULE = pathlib.Path(os.environ.get("VESTIBULE_BIN", ROOT / "target/debug/vestibule")).resolve()
BOOKING_API = pathlib.Path(os.environ.get("BOOKING_API", VESTIBULE.with_name("booking-api"))).resolve()
OURS = {"vestibule": VESTIBULE, "booking-api": BOOKING_API}

# Decisions and the changelog tell what was: their commands are left alone.
PAGES = ["README.md", "ARCHITECTURE.md", "waiting-room-ui/README.md", "booking-core/data/README.md"]
PAGES += ["vestibule.toml", "booking-core/booking.toml", "Dockerfile", "docker-compose.yml", "deploy/kubernetes/kustomization.yaml"]
PAGES += ["deploy/systemd/vestibule.service"]
PAGES += sorted(str(page.relative_to(ROOT)) for page in ROOT.glob("docs/**/*.md") if page.parent.name != "decisions")

CHROMIUM = "./test does that"

# Blocks that run.py leaves out, by page and first command, with the reason.
NOT_RUN = {
    ("README.md", "cargo run --release -- demo"): "builds a release; docs/backup.md runs the demo, and ./test is what calls this",
    ("README.md", "vestibule crowd http://127.0.0.1:8080/book/"): "5,000 people take four minutes; docs/sale.md sends 200",
    ("docs/fairness.md", "SIMULATION_FROM=100000"): "takes hours; ./test plays 2,000 seeds of it",
    ("docs/guarding.md", "fuzz/run"): "builds a fuzzer; ./test shows the readers what one kept (tests/suite/torture.rs)",
    ("docs/reports/rehearsal.md", "vestibule rehearse --visitors 2000"): "says what made the report; docs/rehearse.md sends fewer",
    ("waiting-room-ui/README.md", "cd test && npm ci"): CHROMIUM,
}

# Commands in a sentence that are not ours to check, with the reason.
DOCKER = "needs Docker; deploy/check reads the compose file and what the image is built from"
KUBERNETES = "needs Kubernetes; deploy/check reads the manifests"
REDIS = "asks the reader's own Redis what is wrong with it"
OF_OTHERS = {
    "redis-cli --latency": REDIS,
    "redis-cli ping": REDIS,
    "npm ci": CHROMIUM,
    "npm test": CHROMIUM,
    "node --test --test-force-exit path.test.mjs": CHROMIUM,
    "docker compose up": DOCKER,
    "docker compose up --build": DOCKER,
    "docker compose --profile traces up --build": DOCKER,
    "--profile traces": DOCKER,
    "docker build -t vestibule .": DOCKER,
    "docker run --rm -p 8080:8080 vestibule demo --listen 0.0.0.0:8080 --data :memory:": DOCKER,
    "kubectl port-forward": KUBERNETES,
    "kubectl apply -k deploy/kubernetes": KUBERNETES,
    "systemctl enable --now vestibule": "needs systemd; deploy/check verifies the unit",
    "python3 draw.py after.json": "needs a draw; tests/suite/gateway/opening.rs runs that page of Python on one",
}
THEIRS = {word.split()[0] for word in OF_OTHERS} | {"cargo", "createdb", "curl", "git", "openssl", "pg_dump", "pg_restore", "psql", "systemctl"}

# What stands for a value in a sentence, and a value of that kind.
PLACEHOLDERS = {"N": "7", "M": "7", "S": "7", "SECONDS": "7", "SPAN": "2h", "KID": "0" * 8, "NAME": "0" * 20, "ID": "0" * 32, "COMMAND": "check"}


def read(path):
    """A page; of a file that is no page, its comments as one."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return text if path.endswith(".md") else re.sub(r"^(?: *# ?(.*)|.*)$", lambda line: "  " + (line[1] or ""), text, flags=re.M)


def fences(text):
    return re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, flags=re.S | re.M)


def blocks(page, language="sh"):
    return [textwrap.dedent(found[3]) for found in fences(read(page)) if found[2] == language]


def why_not(page, block):
    return next((why for (of, first), why in NOT_RUN.items() if of == page and block.startswith(first)), None)


def blocks_to_run(page):
    return [block for block in blocks(page) if not why_not(page, block)]


def is_command(text):
    """An option alone counts: it has to be an option of something."""
    first, *rest = plain(text).split() or [""]
    if first.startswith("--"):
        return len(first) > 2
    if is_script(first):
        return True
    return bool(rest) and (first in OURS or first in THEIRS or first.islower() and any(re.match(r"--\w", word) for word in rest))


def is_script(word):
    return word.startswith(("./", "benches/")) or bool(re.fullmatch(r"(\w[\w.-]*/)+\w[\w.-]*", word)) and os.access(ROOT / word, os.X_OK) and (ROOT / word).is_file()


def plain(command):
    """The command without settings of the environment in front, nor the folder where cargo puts our programs."""
    return re.sub(r"^([A-Z_]+=\S+ +)*(target/(release|debug)/)?", "", command)


def commands_to_check(page):
    """(line, command) of what stands in the sentences of a page, in its other blocks, and in those of sh that are not run."""
    text = re.sub(r"^ *```sh\n.*?^ *```$", lambda block: hidden(page, block[0]), read(page), flags=re.S | re.M)
    for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
        command = " ".join(found[1].replace("\\|", "|").split())
        if is_command(command):
            yield text.count("\n", 0, found.start()) + 1, command
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r" *```", line):
            inside = not inside
        elif inside or line.startswith("    "):
            # What stands apart says what it does.
            told = re.split(r"\s+#|\s{3,}", line.strip())[0].split(" && ")
            yield from ((number, command) for command in told if is_command(command))


def hidden(page, block):
    """Nothing but the lines' ends of a block that is run; any other as it is."""
    return block if why_not(page, textwrap.dedent(re.sub(r"^ *```\w*\n?", "", block, flags=re.M))) else re.sub(r"[^\n]", " ", block)


def complaint(command):
    """What is wrong with a command that is not run, or nothing."""
    if plain(command) in OF_OTHERS:
        return None
    try:
        first, *rest = shlex.split(plain(command))
    except ValueError as fault:
        return str(fault)
    if first in OURS:
        return asked(first, rest)
    if first == "cargo":
        return of_cargo(rest)
    if first.startswith("--"):
        return None if first.split("=")[0] in all_options() else f"nothing of ours has the option {first}"
    if is_script(first):
        return of_script(first, rest)
    return "nobody runs or checks it: make it a block of ```sh, or say why not in OF_OTHERS of tests/docs/commands.py"


def asked(program, words):
    """Has the program read the words, and tell its help instead of doing what they say."""
    values = [re.sub(r"\b[A-Z]+\b", lambda name: PLACEHOLDERS.get(name[0], name[0]), word) for word in words]
    done = subprocess.run([OURS[program], *values, "--help"], capture_output=True, text=True, timeout=60)
    return done.stderr.partition("\n")[0] if done.returncode else None


def of_script(path, words):
    script = ROOT / path
    if not script.is_file() or not os.access(script, os.X_OK):
        return f"{path} is not there, or nobody may run it"
    wanted = [word.split("=")[0] for word in words if word.startswith("--")]
    wanted += [part for part in words[0].split("|") if not words[0].startswith("-")] if words else []
    return missing(wanted, script.read_text(encoding="utf-8"), path)


def of_cargo(words):
    """Benches and tests that cargo is told to run are there, and so are the parts of them that are named."""
    end = words.index("--") if "--" in words else len(words)
    words, given = words[:end], words[end + 1 :]
    if words[0] == "run":
        return asked("vestibule", given)
    if words[0] == "bench" and "--bench" in words:
        name = words[words.index("--bench") + 1]
        sources = [*ROOT.glob(f"benches/{name}.rs"), *ROOT.glob(f"benches/{name}/*.rs")]
        return f"no bench is called {name}" if not sources else missing([word for word in given if not word.isdigit()], together(sources), f"the bench {name}")
    if words[0] == "test":
        home = ROOT if "booking-core" not in words else ROOT / "booking-core"
        part = next((word for word in words[1:] if re.fullmatch(r"[a-z_]+", word) and word not in ("vestibule", "suite")), "")
        return None if re.search(rf"\b(fn|mod) \w*{part}", together(home.glob("tests/suite/**/*.rs"))) else f"no test is called {part}"
    return None if words[0] == "build" else f"cargo {words[0]} is not known here"


def together(sources):
    return "\n".join(source.read_text(encoding="utf-8") for source in sources)


def missing(wanted, text, where):
    absent = [word for word in wanted if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)]
    return f"{where} knows no {', '.join(absent)}" if absent else None


@functools.cache
def all_options():
    """Every option of our programs and scripts."""
    text = "".join(help_of([program]) for program in OURS.values())
    text += "".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("benches/*"), ROOT / "drill", ROOT / "fuzz/run"] if path.is_file())
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def help_of(words):
    text = subprocess.run([*words, "--help"], capture_output=True, text=True, check=True).stdout
    verbs = re.findall(r"^  ([a-z-]+) ", text.partition("Commands:")[2].partition("Options:")[0], flags=re.M)
    return text + "".join(help_of([*words, verb]) for verb in verbs if verb != "help")


def faults():
    """A sentence for each command that is neither run nor known."""
    absent = [str(program) for program in OURS.values() if not program.exists()]
    if absent:
        return [f"{', '.join(absent)}: build it, or name it in VESTIBULE_BIN and BOOKING_API; without it no command is checked"]
    told = []
    for page in PAGES:
        told += [f"{page}:{line}: `{command}`: {fault}" for line, command in commands_to_check(page) if (fault := complaint(command))]
        lines = enumerate(read(page).splitlines(), 1)
        told += [f"{page}:{number}: make it a block of ```sh, so that it is run" for number, line in lines if re.match(r" *```(bash|console|shell)", line)]
    left = [f"NOT_RUN: {page} has no block that begins with `{first}`" for page, first in NOT_RUN if not any(block.startswith(first) for block in blocks(page))]
    written = {plain(command) for page in PAGES for _, command in commands_to_check(page)}
    return told + left + [f"OF_OTHERS: no page says `{command}` any more" for command in OF_OTHERS if command not in written]
