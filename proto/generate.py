"""Generates the message classes in artemon/api/v1/ from the .proto files here (needs grpcio-tools).

The modules lie flat in one package, whatever the proto package: none of the files imports another.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "artemon" / "api" / "v1"


def main() -> int:
    """Exit status of the first protoc that fails, else 0."""
    well_known = str(files("grpc_tools") / "_proto")
    with tempfile.TemporaryDirectory() as out:
        for source in sorted(HERE.rglob("*.proto")):
            name = str(source.relative_to(HERE))
            outputs = [f"--python_out={out}", f"--pyi_out={out}"]
            status: int = protoc.main(["protoc", f"-I{HERE}", f"-I{well_known}", *outputs, name])
            if status:
                return status
        for made in sorted(Path(out).rglob("*_pb2.py*")):
            shutil.copyfile(made, TARGET / made.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
