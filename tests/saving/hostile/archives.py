"""`.keras` archives whose members are not what they claim."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

from tests.saving.hostile.makers import MAKERS, good_model, maker, members, write


def with_member(folder: Path, name: str, data: bytes = b"x", info: zipfile.ZipInfo | None = None) -> tuple[str, str]:
    path = write(folder / "members.keras", members(good_model(folder)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(info or name, data)
    return "load_model", str(path)


for _label, _member in {
    "up": "assets/../../escaped",
    "absolute": "/tmp/escaped",
    "backslash": "assets\\..\\..\\escaped",
    "drive": "C:/escaped",
    "dot": "assets/./x",
    "empty_part": "assets//x",
}.items():

    def _traverse(folder, member=_member):
        return with_member(folder, member)

    MAKERS[f"member_{_label}"] = (_traverse, ("outside",))


@maker("link")
def member_is_a_link(folder):
    info = zipfile.ZipInfo("assets/link")
    info.external_attr = 0o120777 << 16
    return with_member(folder, "", b"/etc/passwd", info)


@maker("twice")
def member_is_there_twice(folder):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return with_member(folder, "config.json", b"{}")


@maker("encrypted")
def member_is_encrypted(folder):
    door, path = with_member(folder, "assets/secret")
    data = bytearray(Path(path).read_bytes())
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    Path(path).write_bytes(data)
    return door, path


@maker("config.json", "bomb")
def config_of_130_megabytes(folder):
    path = folder / "spaces.keras"
    contents = members(good_model(folder))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", contents["model.weights.h5"])
        with archive.open("config.json", "w") as member:
            for _ in range(130):
                member.write(b" " * 1_000_000)
    return "load_model", str(path)


@maker("assets", "bomb")
def assets_of_132_megabytes(folder):
    path = write(folder / "assets.keras", members(good_model(folder)))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            with archive.open(f"assets/{i}", "w") as member:
                for _ in range(44):
                    member.write(bytes(1_000_000))
    return "load_model", str(path)


@maker("model.weights.h5")
def no_weights(folder):
    contents = members(good_model(folder))
    del contents["model.weights.h5"]
    return "load_model", str(write(folder / "none.keras", contents))


@maker("corrupt")
def member_claims_more_than_there_is(folder):
    path = Path(good_model(folder))
    data = bytearray(path.read_bytes().replace(b"torchkeras-blocks", b"someother-comment"))
    entry = data.rfind(b"PK\x01\x02")
    struct.pack_into("<II", data, entry + 20, 0xFFFFFFF0, 0xFFFFFFF0)
    path.write_bytes(data)
    return "load_model", str(path)
