"""Creates the virtual environment: `python3 deploy/bootstrap.py [runtime|develop]`.

Any Python of the machine may run this file, so its syntax must suit old versions. An error is one line
with the next step. Packages that are already installed are skipped.
"""

import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
MIN_PYTHON = (3, 11)
PROJECTS = [
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
    create_venv()
    # The packages for development include those of the runtime.
    if kind == "develop" or not is_current("develop", [lock("develop")]):
        install(kind, [lock(kind)], ["--require-hashes", "-r", lock(kind)], "packages")
    projects = [os.path.join(ROOT, name, "pyproject.toml") for name in PROJECTS]
    if not is_current("projects", projects):
        # The installation of protos compiles the contracts.
        editable = [word for name in PROJECTS for word in ("--editable", os.path.join(ROOT, name))]
        label = "contracts, services and command line"
        install("projects", projects, ["--no-build-isolation"] + editable, label)
        mark_current("contracts", contracts())
    elif not is_current("contracts", contracts()):
        check_writable()
        say("compiling the contracts")
        run([PYTHON, os.path.join("protos", "compile.py")], "cannot compile the contracts")
        mark_current("contracts", contracts())


def lock(kind):
    return os.path.join(ROOT, "requirements", kind + ".txt")


def check_python():
    if sys.version_info < MIN_PYTHON:
        stop(
            "Meno needs Python %d.%d or newer, but this is %s: install it, and run, for example, "
            "PYTHON=python3.12 make demo" % (MIN_PYTHON + (sys.version.split()[0],))
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        stop(
            "this Python lacks venv: install it (on Debian: apt install python3-venv) and run the command again"
        )


def check_writable():
    if not os.access(ROOT, os.W_OK):
        stop("cannot write %s: copy the checkout to a directory that you can write to" % ROOT)


def create_venv():
    # pip is installed last into a new environment. If it is missing, the creation was interrupted.
    if os.path.exists(os.path.join(VENV, "bin", "pip")):
        return
    check_writable()
    say("creating .venv with Python %s" % sys.version.split()[0])
    run([sys.executable, "-m", "venv", "--clear", VENV], "cannot create .venv")


def install(name, inputs, arguments, label):
    """Installs packages unless the same inputs were installed before."""
    if is_current(name, inputs):
        return
    check_writable()
    say("installing " + label)
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-deps"]
    run(pip + arguments, "cannot install the " + label)
    mark_current(name, inputs)


def is_current(name, inputs):
    """Returns whether a step was completed with the same inputs."""
    stamp = os.path.join(VENV, name + ".stamp")
    return os.path.exists(stamp) and open(stamp).read() == fingerprint(inputs)


def mark_current(name, inputs):
    with open(os.path.join(VENV, name + ".stamp"), "w") as file:
        file.write(fingerprint(inputs))


def contracts():
    """Returns the files from which the contracts are compiled."""
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


def run(command, error):
    try:
        subprocess.check_call(command, cwd=ROOT)
    except (OSError, subprocess.CalledProcessError):
        stop(error + ": see the error above, fix it and run the command again")


def say(text):
    sys.stderr.write("meno: " + text + "\n")


def stop(text):
    say(text)
    sys.exit(1)


if __name__ == "__main__":
    main()
