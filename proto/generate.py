"""Generate the Python code of the contract between provinces, or check that the committed code fits it.

    python proto/generate.py            write *_pb2.py and *_pb2.pyi beside each .proto
    python proto/generate.py --check    change nothing; exit 1 and name each file that is out of date

Also the descriptor set of a release, for the test that the wire still fits the last one:

    python proto/generate.py --release v0_1

The two places in generated code that name the generator's version are left out of the comparison: another
patch release of grpcio-tools does not change what goes over the wire.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
RELEASED = ROOT / "released"
_VERSION = re.compile(
    r"^# Protobuf Python Version: .*$|(?<=_runtime_version\.Domain\.PUBLIC,\n)(?:    \d+,\n){3}", re.MULTILINE
)


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing, say what is out of date")
    parser.add_argument("--release", metavar="NAME", help="also write released/NAME.binpb, once")
    options = parser.parse_args(arguments)
    release = RELEASED / f"{options.release}.binpb" if options.release else None
    if release is not None and release.exists():
        sys.exit(f"{release.name} is released already: give the next release its own name")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        compile_protos(made)
        if options.check:
            return report(stale_files(made))
        install(made)
    if release is not None:
        release.parent.mkdir(exist_ok=True)
        run_protoc(f"--descriptor_set_out={release}", "--include_imports")
    return 0


def proto_files() -> list[str]:
    """Every .proto, relative to this folder, in a fixed order."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("yrd/**/*.proto"))


def compile_protos(target: Path) -> None:
    """Write the generated code and the package files into `target`. Exits with a clear line on failure."""
    beside_python = Path(sys.executable).parent
    plugin = shutil.which("protoc-gen-mypy", path=str(beside_python)) or shutil.which("protoc-gen-mypy")
    if plugin is None:
        sys.exit("Missing: protoc-gen-mypy. Set the environment up with: make setup")
    run_protoc(f"--plugin=protoc-gen-mypy={plugin}", f"--python_out={target}", f"--mypy_out=quiet:{target}")
    for path in sorted(target.glob("yrd/**/")):
        package = path.relative_to(target).as_posix().replace("/", ".")
        path.joinpath("__init__.py").write_text(f'"""Generated code of `{package}`."""\n', encoding="utf-8")


def run_protoc(*options: str) -> None:
    """Run the compiler of grpcio-tools over every .proto. Exits when it fails."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", *options, *proto_files()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"protoc failed:\n{done.stdout}{done.stderr}")


def generated_files(root: Path) -> dict[str, str]:
    """What counts as generated below `root`: relative path → text without the generator's version."""
    kinds = ("yrd/**/*_pb2.py", "yrd/**/*_pb2.pyi", "yrd/**/__init__.py")
    return {
        path.relative_to(root).as_posix(): _VERSION.sub("", path.read_text(encoding="utf-8"))
        for kind in kinds
        for path in root.glob(kind)
    }


def stale_files(made: Path) -> list[str]:
    """One line for each committed file that is missing, different or left over."""
    fresh, committed = generated_files(made), generated_files(ROOT)
    return [
        *(f"proto/{name} is missing" for name in sorted(fresh.keys() - committed.keys())),
        *(f"proto/{name} has no .proto any more" for name in sorted(committed.keys() - fresh.keys())),
        *(
            f"proto/{name} does not fit its .proto"
            for name in sorted(fresh.keys() & committed.keys())
            if fresh[name] != committed[name]
        ),
    ]


def report(faults: list[str]) -> int:
    """Print the faults; the exit code."""
    if not faults:
        print("The generated code fits proto/.")
        return 0
    print("The generated code is out of date; run: make proto", file=sys.stderr)
    print("\n".join(f"  {fault}" for fault in faults), file=sys.stderr)
    return 1


def install(made: Path) -> None:
    """Put the generated files in their place and remove left-over ones."""
    fresh = generated_files(made)
    for name in generated_files(ROOT).keys() - fresh.keys():
        ROOT.joinpath(name).unlink()
    for name in fresh:
        ROOT.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / name, ROOT / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
