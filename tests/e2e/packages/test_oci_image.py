"""The image that is built without a daemon: what OCI says of layouts, and a root in which everything runs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from debian_packages import missing_debian
from netns import ROOT, missing
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

BUILD = ROOT / "deploy" / "image"
SPEC = "github.com/opencontainers/image-spec@v1.1.1"
SCHEMAS = {"index": "image-index-schema.json", "manifest": "image-manifest-schema.json"}
SCHEMAS |= {"config": "config-schema.json", "oci-layout": "image-layout-schema.json"}
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing_debian()), reason=missing_debian()),
]


class Layout:
    """A layout, unpacked."""

    def __init__(self, file: Path, folder: Path) -> None:
        self.folder = folder
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
        self.index = self.read("index.json")
        self.manifest = self.blob(self.index["manifests"][0])
        self.config = self.blob(self.manifest["config"])

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_bytes())

    def path(self, descriptor: dict[str, Any]) -> Path:
        return self.folder / "blobs" / "sha256" / descriptor["digest"].removeprefix("sha256:")

    def blob(self, descriptor: dict[str, Any]) -> Any:
        return json.loads(self.path(descriptor).read_bytes())


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("image")
    command = [sys.executable, str(BUILD / "build.py"), "--out", str(folder), "--quick"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    file, digest = done.stdout.split()
    made = Layout(Path(file), folder / "layout")
    assert made.index["manifests"][0]["digest"] == digest
    return made


@pytest.fixture(scope="module")
def root(layout: Layout) -> Path:
    """All layers on top of each other."""
    place = layout.folder / "root"
    for one in layout.manifest["layers"]:
        with tarfile.open(layout.path(one)) as archive:
            archive.extractall(place, filter="tar")
    return place


def test_every_blob_is_what_its_name_says(layout: Layout) -> None:
    told = [layout.index["manifests"][0], layout.manifest["config"], *layout.manifest["layers"]]
    assert {layout.path(one) for one in told} == set((layout.folder / "blobs" / "sha256").iterdir())
    for one in told:
        content = layout.path(one).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (layout.path(one).name, one["size"])
    unpacked = [one["digest"] for one in layout.manifest["layers"]]  # not compressed here
    assert layout.config["rootfs"]["diff_ids"] == unpacked


def test_the_specification_takes_it(layout: Layout) -> None:
    if shutil.which("go") is None:
        pytest.skip("no Go: the schemas of the OCI image specification come with its Go module")
    done = subprocess.run(
        ["go", "mod", "download", "-json", SPEC], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no schemas: {done.stderr.strip() or done.stdout.strip()}")
    folder = Path(json.loads(done.stdout)["Dir"]) / "schema"
    schemas = {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}

    def found(uri: str) -> Resource[Any]:
        return Resource.from_contents(schemas[uri.rpartition("/")[2]], default_specification=DRAFT4)

    registry: Registry[Any] = Registry(retrieve=found)
    documents = {"index": layout.index, "manifest": layout.manifest, "config": layout.config}
    documents["oci-layout"] = layout.read("oci-layout")
    for name, value in documents.items():
        schema = schemas[SCHEMAS[name]]
        jsonschema.Draft4Validator(schema, registry=registry).validate(value)
    broken = {**layout.manifest, "layers": [{"digest": "md5:1"}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft4Validator(schemas[SCHEMAS["manifest"]], registry=registry).validate(broken)


def test_nobody_is_root_and_nothing_but_state_is_theirs(layout: Layout) -> None:
    assert layout.config["config"]["User"] == "1337:1337"
    owned, extra = {}, []
    for one in layout.manifest["layers"]:
        with tarfile.open(layout.path(one)) as archive:
            for member in archive:
                owned[member.name] = member.uid
                if member.mode & 0o6000 and not member.isdir():
                    extra.append(member.name)
    theirs = {name for name, uid in owned.items() if uid}
    assert theirs == {"etc/istio/proxy", "var/lib/istio/data", "var/lib/artemon", "run/artemon", "tmp"}
    assert extra == []


def test_its_contents_are_listed(layout: Layout, root: Path) -> None:
    text = (root / "usr/share/doc/artemon/sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = {one["name"]: one["version"] for one in json.loads(text)["components"]}
    assert {"artemon", "envoy", "grpcio", "libc6", "nftables", "python3"} <= set(listed)
    for control in (root / "var/lib/dpkg/status.d").iterdir():
        assert control.name in listed


def test_the_containerfile_says_the_same(layout: Layout) -> None:
    text = (BUILD / "Containerfile").read_text()
    told = dict(
        re.findall(r"^(USER|WORKDIR|ENTRYPOINT) (.*)$", text.rpartition("FROM scratch")[2], re.MULTILINE)
    )
    config = layout.config["config"]
    assert (told["USER"], told["WORKDIR"]) == (config["User"], config["WorkingDir"])
    assert json.loads(told["ENTRYPOINT"]) == config["Entrypoint"]
    assert re.findall(r"^ENV (.*)$", text, re.MULTILINE) == config["Env"]


@pytest.mark.root
@pytest.mark.skipif(bool(missing()), reason=missing() or "-")
def test_programs_start_in_it_without_a_network(root: Path, layout: Layout) -> None:
    scripts = re.search(r"\[project.scripts\]\n((?:.+\n)+)", (ROOT / "pyproject.toml").read_text())
    assert scripts
    names = [line.partition(" ")[0] for line in scripts[1].splitlines()]
    for name in names:
        assert (root / "usr" / "bin" / name).resolve().stat().st_mode & 0o111, name
    for name in ("proxyd", "meshctl"):  # each compiles what it imports: the image of `make image` is compiled
        done = inside(root, name, "--version")
        assert (done.returncode, "0." in done.stdout) == (0, True), done.stdout + done.stderr
    envoy = next((root / "usr/lib/artemon").glob("lib/*/site-packages/envoy/_bin/envoy"))
    assert "version:" in inside(root, f"/{envoy.relative_to(root)}", "--version").stdout
    assert "nftables" in inside(root, "nft", "--version").stdout


def inside(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run in the image's root as its user, with no network."""
    enter = ["unshare", "--net", "chroot", "--userspec=1337:1337", str(root)]
    found = shutil.which("env", path=str(root / "usr/bin"))
    assert found is None  # nothing to log in with, not even this
    where = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}
    return subprocess.run(
        [*enter, *command], capture_output=True, text=True, check=False, env=where, timeout=120
    )
