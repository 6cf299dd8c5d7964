"""What a real run publishes beside an archive: it fits together, and it follows from the inputs alone."""

from __future__ import annotations

import json
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from support.product import VERSION, make_world

PLATFORM = "linux-x64"
CONFIG = {"packages": {"dependencies": ["chain"], "copyFiles": [{"from": "more.txt", "to": "more.txt"}]}}


def test_the_papers_of_a_build_are_valid_and_the_same_in_another_folder(tmp_path: Path) -> None:
    """The bill of materials by its strict schema, with edges of the lock; no paper names a folder of the machine."""
    found = []
    for name in ("one", "two"):
        storage = tmp_path / name / "storage"
        with make_world(tmp_path / name / "w", {VERSION: CONFIG}, platforms=(PLATFORM,), small=True) as world:
            (world.environment_folder() / "more.txt").write_text("more", encoding="utf-8")
            # the index has another port each time, and nothing else differs
            port = str(world.index.url.split(":")[2].split("/")[0])
            assert world.run("build", "--platform", PLATFORM).status == 0
            done = world.run("publish", "--storage-url", storage.as_uri())
            assert done.status == 0, done.stderr
        papers = [next(storage.rglob(f"*.tgz.{kind}")).read_text("utf-8") for kind in ("cdx.json", "provenance.json")]
        assert not any(str(tmp_path) in paper for paper in papers)
        found.append([paper.replace(f":{port}/", ":PORT/") for paper in papers])
    bill, origin = json.loads(found[0][0]), json.loads(found[0][1])
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(found[0][0]) is None
    edges = {entry["ref"]: set(entry.get("dependsOn", ())) for entry in bill["dependencies"]}
    chain, pure = "chain-1.0-py3-none-any.whl", "pure-2.0-py3-none-any.whl"
    assert edges[chain] == {"interpreter", pure}
    assert edges["environment"] == {"interpreter", chain, pure, "copied-files"}
    purls = {c["purl"] for c in bill["components"] if c["type"] == "library"}
    assert purls < {entry.get("uri") for entry in origin["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert found[0][0] == found[1][0]
