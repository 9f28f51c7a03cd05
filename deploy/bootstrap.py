"""Makes the virtual environment: `python3 deploy/bootstrap.py [runtime|develop]`.

It is run by whatever Python the machine has, so it keeps to what an old one understands,
and says in one line what is missing. What is installed already is left alone.
"""

import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
OLDEST = (3, 11)
OURS = [
    "protos",
    "chassis",
    "identity_service",
    "content_service",
    "session_service",
    "chat_service",
    "deploy",
]


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    check_python()
    make_venv()
    lock = os.path.join(ROOT, "requirements", kind + ".txt")
    install(kind, [lock], ["--require-hashes", "-r", lock], "packages")
    ours = [os.path.join(ROOT, name, "pyproject.toml") for name in OURS]
    editable = [word for name in OURS for word in ("--editable", os.path.join(ROOT, name))]
    install(
        "ours",
        ours + contracts(),
        ["--no-build-isolation"] + editable,
        "contracts, services and the command line",
    )


def check_python():
    if sys.version_info < OLDEST:
        stop(
            "Meno needs Python %d.%d or newer, this is %s: install one, and run PYTHON=python3.12 make demo, say"
            % (OLDEST + (sys.version.split()[0],))
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "this Python has no venv: install it (on Debian: apt install python3-venv) and run the command again"
        )


def make_venv():
    # pip comes last into a new environment: without it, making one was broken off.
    if os.path.exists(os.path.join(VENV, "bin", "pip")):
        return
    say("making .venv with Python %s" % sys.version.split()[0])
    run([sys.executable, "-m", "venv", "--clear", VENV], "cannot make .venv")


def install(name, inputs, arguments, what):
    """Installs unless the same inputs were installed before; pip's own dependencies are in the lock."""
    stamp = os.path.join(VENV, name + ".stamp")
    wanted = fingerprint(inputs)
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    say("installing " + what)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-deps"]
    run(pip + arguments, "cannot install the " + what)
    with open(stamp, "w") as file:
        file.write(wanted)


def contracts():
    """Every contract, for they are compiled when ours are installed."""
    found = [os.path.join(ROOT, "protos", "compile.py")]
    for directory, _, names in os.walk(os.path.join(ROOT, "protos", "meno")):
        found += [os.path.join(directory, name) for name in names if name.endswith(".proto")]
    return sorted(found)


def fingerprint(paths):
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            digest.update(path.encode() + b"\0" + file.read())
    return digest.hexdigest()


def run(command, problem):
    try:
        subprocess.check_call(command, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        stop(problem + ": the reason stands above; mend it and run the command again")


def say(text):
    sys.stderr.write("meno: " + text + "\n")


def stop(text):
    say(text)
    sys.exit(1)


if __name__ == "__main__":
    main()
