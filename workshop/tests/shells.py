"""The shells that images of containers have: /bin/sh is BusyBox's in Alpine, dash in Debian, and bash elsewhere."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SHELLS = ["ash", "dash", "bash"]


@functools.cache
def tools(shell):
    """A folder with that shell, and with it BusyBox's tools."""
    folder = Path(tempfile.mkdtemp(prefix=f"{shell}-"))
    atexit.register(shutil.rmtree, folder)
    program = shutil.which("busybox" if shell == "ash" else shell)
    if not program and not os.environ.get("CI"):
        pytest.skip(f"There is no {shell} here (.ci/packages installs BusyBox).")
    assert program, f"there is no {shell} here"
    names = [shell]
    if shell == "ash":
        names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        (folder / name).symlink_to(program)
    return folder


class Container:
    """A script of docker/ as a container of such an image runs it; its folders and programs are in `folder`."""

    def __init__(self, folder, shell, script):
        self.folder, self.programs = folder, folder / "bin"
        for name in ("bin", "docker", "tmp", "certificates", "srv/nginx"):
            (folder / name).mkdir(parents=True)
        text = (ROOT / "docker" / script).read_text()
        text = re.sub(r"(?<![\w.])/(certificates|tmp|srv/nginx)\b", rf"{folder}/\1", text)
        # What it calls by its own name runs in this shell as well.
        text = text.replace("#!/bin/sh", f"#!{tools(shell)}/{shell}", 1)
        self.script = folder / "docker" / script
        self.script.write_text(text)
        self.script.chmod(0o755)
        self.environment = {
            "PATH": f"{self.programs}:{tools(shell)}:{os.environ['PATH']}",
            "TMPDIR": f"{folder}/tmp",
            "FOLDER": str(folder),
        }

    def program(self, name, text):
        """Stands in for one that the image has."""
        (self.programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.programs / name).chmod(0o755)

    def start(self, *arguments, **variables):
        # Without a terminal: nothing can ask for a passphrase.
        return subprocess.Popen(
            [self.script, *arguments],
            env={**self.environment, **variables}, cwd=self.folder, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments, stdin="", **variables):
        process = self.start(*arguments, **variables)
        out, err = process.communicate(stdin, timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)
