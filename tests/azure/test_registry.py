"""A bundle's components and environments in a registry: addresses, entities of the real SDK, and a submission."""

from azdistill.azure.registry import entity, from_registry, shared_in
from azdistill.azure.submission import submit
from tests.azure.test_submission import edited


def test_what_is_shared_is_called_by_its_content(small):
    shared = shared_in(small)
    component, environment = (
        shared["./components/say/component.yml"],
        next(one for one in shared.values() if one.kind == "environments"),
    )
    assert component.address("house").startswith("azureml://registries/house/components/say/versions/")
    assert environment.address("house").startswith("azureml://registries/house/environments/cpu/versions/")
    after = shared_in(edited(small))
    assert after["./components/say/component.yml"].version != component.version
    assert after[str(environment.path)] == environment
    (small / "environments/cpu/environment.yml").write_text("name: cpu\nversion: '1'\nimage: debian\n")
    assert shared_in(small)["./components/say/component.yml"].version != after["./components/say/component.yml"].version


def test_the_sdk_takes_what_would_be_published(small):
    shared = shared_in(small)
    for one in shared.values():
        found = entity(one, "house", shared)
        assert (found.name, found.version) == (one.name, one.version)
        if one.kind == "components":
            assert found.environment == shared[
                next(key for key, it in shared.items() if it.kind == "environments")
            ].address("house")


def test_a_bundle_is_sent_with_its_nodes_out_of_the_registry(small, client, workspace):
    workspace.jobs.script = ["Running"]
    plain = submit(client, small)
    sent = submit(client, small, registry="house")
    node = workspace.jobs[sent.name].properties["jobs"]["register"]
    assert node["componentId"] == shared_in(small)["./components/say/component.yml"].address("house")
    assert sent.name != plain.name
    assert submit(client, small, registry="house").attached
    assert "azureml://registries/house/components/say" in from_registry(small, "house").getvalue()
