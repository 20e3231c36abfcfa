#!/usr/bin/env bash
# Generates artemon/api/v1 from the .proto files here, with the oldest protoc that pyproject.toml's protobuf range
# allows: generated code runs with its own version of the runtime and newer ones, not with older ones.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=.artemon/protoc
if [ ! -x $tools/bin/python ]; then
  echo "making $tools for grpcio-tools 1.72 (protobuf 6.30)" >&2
  "${PYTHON:-python3}" -m venv $tools
  $tools/bin/pip install --quiet --disable-pip-version-check 'grpcio-tools==1.72.*' || { rm -rf $tools; exit 1; }
fi
$tools/bin/python proto/generate.py
