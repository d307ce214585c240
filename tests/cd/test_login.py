"""Verbs setup and login: the pinned extension, and tokens that are fetched early and never printed."""

from scripts.cd.extension import ML_VERSION


def test_setup_installs_the_pinned_extension_once(cd, az, azure):
    assert [cd("setup").code, cd("setup").code] == [0, 0]
    assert (azure.extension, len(az.of("extension add"))) == (ML_VERSION, 1)
    assert az.of("config set")[0] == ("config", "set", "extension.use_dynamic_install=no")


def test_setup_replaces_another_version(cd, az, azure):
    azure.extension = "2.30.0"
    assert (cd("setup", "--version", "2.44.0").code, azure.extension) == (0, "2.44.0")
    assert len(az.of("extension remove")) == 1


def test_login_in_github_actions(cd, az, azure, oidc):
    done = cd("login", **oidc.variables)
    assert (done.code, azure.logins) == (0, ["oidc-token-1"])
    path = "/token?api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange"
    assert oidc.requests == [("GET", path, "Bearer runner-token")]
    assert az.calls[0] == tuple(
        "login --service-principal --username client --tenant tenant --federated-token oidc-token-1".split()
    )
    assert az.calls[1] == ("account", "set", "--subscription", "subscription")
    assert [call[3] for call in az.of("account get-access-token")] == [
        "https://management.azure.com/.default",
        "https://ml.azure.com/.default",
        "https://storage.azure.com/.default",
    ]
    assert "token-" not in done.out + done.err


def test_login_in_azure_pipelines(cd, azure, oidc):
    assert cd("login", **oidc.pipelines_variables).code == 0
    assert oidc.requests == [("POST", "/oidc?api-version=7.1&serviceConnectionId=connection", "Bearer job-token")]
    assert azure.logins == ["oidc-token-1"]


def test_login_by_hand_uses_the_login_of_az(cd, az, azure):
    assert (cd("login").code, azure.logins, len(az.of("account get-access-token"))) == (0, [], 3)


def test_a_workflow_without_the_permission_is_told_so(cd, az, oidc):
    variables = oidc.variables | {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:9/token"}
    done = cd("login", **variables)
    assert (done.code, az.calls) == (1, [])
    assert "no OIDC token was issued" in done.err
    assert "`permissions: id-token: write`" in done.err


def test_missing_variables_are_named(cd, oidc):
    done = cd("login", **(oidc.variables | {"AZURE_CLIENT_ID": ""}))
    assert (done.code, "login: AZURE_CLIENT_ID is not set" in done.err) == (2, True)


def test_a_dry_run_does_not_print_a_token(cd, az):
    done = cd("login", "--dry-run")
    assert (done.code, az.calls) == (0, [])
    assert "--username '$AZURE_CLIENT_ID' --tenant '$AZURE_TENANT_ID' --federated-token @-" in done.out
