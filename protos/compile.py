"""Compiles `meno/**/*.proto` to typed Python modules and one descriptor set.

    python compile.py [OUTPUT]

OUTPUT (default: `generated` beside this file) is replaced as a whole, and only when
every file compiles.
"""

import os
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import protovalidate
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

HERE = Path(__file__).parent
VALIDATE = "buf/validate/validate.proto"
# No contract names the details of an error; the gateway needs them to spell an error out as JSON.
ERROR_DETAILS = ["google/rpc/error_details.proto", "google/rpc/status.proto"]


def compile_contracts(output: Path) -> None:
    """Writes the modules, their stubs and `meno/descriptors.binpb` to `output`.

    Raises SystemExit with protoc's own message on the standard error when a contract is wrong.
    """
    contracts = sorted(str(path.relative_to(HERE)) for path in HERE.glob("meno/**/*.proto"))
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        built = Path(scratch) / "built"
        (built / "meno").mkdir(parents=True)
        rules = Path(scratch) / "validate.binpb"
        rules.write_bytes(_validate_descriptor())
        sources = [
            f"-I{HERE}",
            f"-I{Path(annotations_pb2.__file__).parents[2]}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--descriptor_set_in={rules}",
        ]
        _protoc(
            *sources,
            f"--python_out={built}",
            f"--grpc_python_out={built}",
            *(f"--plugin={name}={_plugin(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
            f"--mypy_out=quiet:{built}",
            f"--mypy_grpc_out=quiet:{built}",
            *contracts,
            VALIDATE,
        )
        _protoc(
            *sources,
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={built / 'meno/descriptors.binpb'}",
            *contracts,
            *ERROR_DETAILS,
        )
        _mark_packages(built / "meno")
        if output.exists():
            shutil.rmtree(output)
        built.rename(output)


def _protoc(*arguments: str) -> None:
    if status := protoc.main(["protoc", *arguments]):
        raise SystemExit(status)


def _plugin(name: str) -> str:
    """A plugin's path: beside this Python, whether or not its environment is activated, or on the PATH."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places)
    if found is None:
        raise SystemExit(f"{name} is missing: install mypy-protobuf")
    return found


def _validate_descriptor() -> bytes:
    """The descriptor of buf/validate/validate.proto, which protovalidate holds compiled."""
    described = FileDescriptorSet()
    file = described.file.add()
    file.ParseFromString(protovalidate.ViolationPb.desc().file.proto.to_binary())
    if file.name != VALIDATE:
        raise SystemExit(f"protovalidate holds {file.name} where {VALIDATE} was expected")
    return described.SerializeToString()


def _mark_packages(root: Path) -> None:
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").touch()
    (root / "py.typed").touch()


if __name__ == "__main__":
    compile_contracts(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "generated")
