"""Scores over HTTP: those of the model, each paid once, despite faults; a teacher that cannot score is refused."""

import contextlib
import copy
import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer

from azdistill.contracts.errors import EndpointError, InputError
from azdistill.contracts.requests import RequestConfig, Teacher
from azdistill.contracts.scoring import can_score
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.model.teacher import ModelTeacher
from azdistill.students.loading import load_student
from azdistill.students.probe import tokenizer_probe
from azdistill.students.tiny import byte_level_tokenizer
from azdistill.teacher.budget import BudgetReached
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.replies import RowRejected
from azdistill.teacher.scoring import other_split, score_request, scoring_endpoint, tokenize_url
from azdistill.teacher.scoring_client import ScoringClient
from azdistill.teacher.store import ResponseStore
from tests.students import tiny
from tests.teacher.conftest import serving

TOP = 4
SEQUENCES = [[30, 31, 32, 200, 3, 77], [40, 41, 42], [5, 6, 7, 8, 9, 10, 11, 12], [30, 31, 32, 200, 3, 77]]
FIRSTS = [2, 1, 5, 2]


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return load_student(tiny.write(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def probe(student):
    return tokenizer_probe(student.tokenizer)


@pytest.fixture
def serve(student):
    """Serve a model; returns it and its URL."""
    with contextlib.ExitStack() as ending:

        def start(*, key=None, model=None, student=student, **settings):
            teacher = ModelTeacher(Simulation(**{"latency_ms": 0, **settings}), student, "m", key, **(model or {}))
            ending.callback(teacher.stop)
            return teacher, ending.enter_context(serving(teacher))

        yield start


@pytest.fixture
def client(tmp_path, probe):
    """A client for a URL, with the store of the test."""

    def create(url, *, teacher=None, probe=probe, run="run", top_k=TOP, **fields):
        entry = Teacher(**{"model": "m", "endpoint": url, "max_in_flight": 8, **(teacher or {})})
        config = RequestConfig(**{"teachers": (entry,), "timeout_s": 10, **fields})
        endpoint = resolve(entry, "endpoint", {"TEACHER_KEY": "right"})
        return ScoringClient(endpoint, config, ResponseStore(tmp_path / "store", run), probe, top_k)

    return create


def requests_of(teacher):
    """Number of requests to completions that reached the teacher."""
    return sum(count for kind, count in teacher.calls.items() if kind != "tokenized")


def test_scores_are_those_of_the_model_in_this_process(serve, client, student):
    teacher, url = serve()
    with client(url) as scorer:
        scores = scorer.score_all(SEQUENCES, FIRSTS)
    for ids, first, scored in zip(SEQUENCES, FIRSTS, scores, strict=True):
        with torch.inference_mode():
            logprobs = student.model(input_ids=torch.tensor([ids])).logits[0, first - 1 : -1].log_softmax(-1)
        chosen = logprobs.gather(1, torch.tensor(ids[first:])[:, None])[:, 0]
        values, top_ids = logprobs.topk(TOP)
        assert scored.first == first
        assert scored.logprobs == pytest.approx(chosen.tolist(), abs=1e-4)
        assert scored.top_ids == top_ids.tolist()
        for ours, expected in zip(scored.top_logprobs, values.tolist(), strict=True):
            assert ours == pytest.approx(expected, abs=1e-4)
    assert requests_of(teacher) == 4, "the probe and each different sequence once"


def test_a_stored_score_is_used_again_and_no_request_is_sent(serve, client):
    teacher, url = serve()
    with client(url, run="first") as scorer:
        first = scorer.score_all(SEQUENCES, FIRSTS)
        before = requests_of(teacher)
        assert scorer.score_all(SEQUENCES, FIRSTS) == first
    with client(url, run="second") as scorer:
        assert scorer.score_all(SEQUENCES[::-1], FIRSTS[::-1]) == first[::-1]
        assert requests_of(teacher) == before
        scorer.score_all(SEQUENCES[:1], [1])
    with client(url, run="third", top_k=TOP - 1) as scorer:
        scorer.score_all(SEQUENCES[:1], FIRSTS[:1])
    assert requests_of(teacher) == before + 3, "first and top_k are part of the key, also of the probe"


def test_stored_scores_need_no_server(serve, client):
    teacher, url = serve()
    with client(url) as scorer:
        first = scorer.score_all(SEQUENCES, FIRSTS)
    with client(url, run="second") as scorer:
        teacher.simulation = Simulation(html=True)
        assert scorer.score_all(SEQUENCES, FIRSTS) == first
    assert teacher.calls["html"] == 0


def test_faults_are_survived_and_nothing_is_paid_twice(serve, client, monkeypatch):
    monkeypatch.setattr("azdistill.teacher.retries.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("azdistill.simulate.faults.RETRY_AFTER_S", 0.1)
    teacher, url = serve(key="right", seed=3, throttle_rate=0.2, error_rate=0.4, reset_rate=0.4)
    sequences = [[3, 4, 5 + number] for number in range(12)]
    with client(url, teacher={"key_variable": "TEACHER_KEY"}) as scorer:
        scorer.score_all(sequences, [1] * 12)
        usage = scorer.usage()
    assert {"throttled", "error", "reset"} <= teacher.calls.keys()
    assert set(teacher.bought.values()) == {1}
    assert len(teacher.bought) == 13
    assert usage["scored"] == 12
    assert usage["calls"] == requests_of(teacher)


def test_a_budget_stops_before_it_is_exceeded_and_the_next_run_continues(serve, client):
    teacher, url = serve()
    price = {"input_price": 1e6, "output_price": 0.0}
    sequences = [[3, 4, 5, 6, 7, 8, 9, 10, 11, 12 + number] for number in range(6)]
    with client(url, teacher=price) as scorer:
        of_probe = scorer.usage()["spent"]
    with client(url, teacher=price, run="second", budget=of_probe + 35) as scorer, pytest.raises(BudgetReached):
        scorer.score_all(sequences, [1] * 6)
    assert requests_of(teacher) == 1 + 3
    with client(url, teacher=price, run="third", budget=of_probe + 60) as scorer:
        scorer.score_all(sequences, [1] * 6)
        assert scorer.usage()["spent"] == of_probe + 60
    assert requests_of(teacher) == 1 + 6


def test_a_server_that_stops_gives_one_error_and_what_was_scored_stays_paid(student, client, monkeypatch):
    monkeypatch.setattr("azdistill.teacher.retries.FIRST_WAIT_S", 0.01)
    first, second = (ModelTeacher(Simulation(latency_ms=0), student, "m") for _ in range(2))
    with contextlib.ExitStack() as running:
        url = running.enter_context(serving(first))
        with client(url, max_attempts=2) as scorer:
            scorer.score_all(SEQUENCES[:2], FIRSTS[:2])
            running.close()
            with pytest.raises(
                EndpointError, match="a sequence of 8 tokens was not scored: gave up after 2 tries"
            ) as stop:
                scorer.score_all(SEQUENCES, FIRSTS)
    assert "\n" not in str(stop.value)
    with serving(second, int(url.rpartition(":")[2])), client(url, run="second") as scorer:
        scorer.score_all(SEQUENCES, FIRSTS)
    assert (requests_of(first), requests_of(second)) == (3, 1)


@pytest.fixture(scope="module")
def other_probe():
    """The probe of a tokenizer that gives other ids to the same text."""
    return tokenizer_probe(byte_level_tokenizer(["the quick brown fox"] * 3, 300))


def test_a_teacher_with_another_tokenizer_is_refused_before_anything_is_paid(serve, client, other_probe):
    teacher, url = serve()
    with pytest.raises(EndpointError, match="its tokenizer is not the student's: from token 0 on, the ids") as refused:
        client(url, probe=other_probe).__enter__()
    assert refused.value.problems[0].code == "other_tokenizer"
    assert not teacher.bought


@pytest.fixture
def no_tokenize(monkeypatch):
    """Servers without /tokenize."""
    paths = ModelTeacher.handlers
    monkeypatch.setattr(
        ModelTeacher, "handlers", lambda self: {key: call for key, call in paths(self).items() if key[1] != "/tokenize"}
    )


@pytest.mark.usefixtures("no_tokenize")
def test_without_tokenize_the_texts_of_the_tokens_are_compared(serve, client, probe):
    teacher, url = serve()
    with client(url) as scorer:
        scorer.score_all(SEQUENCES, FIRSTS)
        assert requests_of(teacher) == 2 + 3  # the text of the probe, its tokens, three different sequences
    with client(url, run="second") as scorer:
        scorer.score_all(SEQUENCES, FIRSTS)
    assert requests_of(teacher) == 5  # all from the store
    swapped = replace(probe, tokens=(*probe.tokens[:5], "x", *probe.tokens[6:]))
    with pytest.raises(EndpointError, match=r"token \d+ is 'x' for the student and 'u' for the teacher"):
        client(url, probe=swapped).__enter__()


@pytest.mark.usefixtures("no_tokenize")
def test_without_tokenize_a_teacher_that_divides_the_same_vocabulary_otherwise_is_refused(serve, client, student):
    one = byte_level_tokenizer(["ow ow ow wn wn"], student.model.config.vocab_size)
    content = json.loads(one.backend_tokenizer.to_str())
    content["model"]["merges"] = content["model"]["merges"][::-1]  # "brown" is br-o-wn in place of br-ow-n
    other = copy.deepcopy(one)
    other._tokenizer = Tokenizer.from_str(json.dumps(content))
    assert other.get_vocab() == one.get_vocab()
    teacher, url = serve(student=replace(student, tokenizer=other))
    with pytest.raises(EndpointError, match="its tokenizer is not the student's: ") as refused:
        client(url, probe=tokenizer_probe(one)).__enter__()
    assert refused.value.problems[0].code == "other_tokenizer"
    assert requests_of(teacher) == 1


@pytest.mark.parametrize(
    ("positions", "refused"),
    [
        ([set(), {"2"}, {"3", "9"}], ""),
        ([set(), {"1"}, {"2"}, {"3"}], ""),  # a token was added at the start
        ([set(), {"2"}, {"4", "9"}], "token 2 of a test text, 3 for the student, is another one for the teacher"),
        ([set(), {"2"}], "a test text has 3 tokens for the student and 2 for the teacher"),
        ([set(), {"1"}, {"2"}, {"3"}, {"4"}], "a test text has 3 tokens for the student and 5 for the teacher"),
    ],
)
def test_tokens_of_a_text_are_compared_with_those_of_the_server(positions, refused):
    assert other_split([1, 2, 3], positions) == refused


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"scores_prompts": False}, r"does not score given tokens: HTTP 400: Extra parameters \['prompt_logprobs'\]"),
        ({"max_logprobs": 2}, "Requested prompt logprobs of 4, which is greater than max allowed: 2"),
    ],
)
def test_an_endpoint_that_does_not_score_is_refused(serve, client, model, message):
    teacher, url = serve(model=model)
    with pytest.raises(EndpointError, match=message):
        client(url).__enter__()
    assert not teacher.bought


def test_an_endpoint_that_is_down_is_not_one_that_cannot_score(client, probe):
    for first in (probe, None):
        with pytest.raises(EndpointError, match=r"cannot be reached or does not answer: gave up after 1 tries") as down:
            client("http://127.0.0.1:9/v1", probe=first, max_attempts=1).__enter__()
        assert down.value.problems[0].code == "no_answer"


def test_a_serverless_endpoint_is_refused_without_a_call(client):
    with pytest.raises(InputError, match="serverless endpoints of Azure do not score given tokens"):
        client("https://name.eastus.models.ai.azure.com")
    assert not can_score("https://name.services.ai.azure.com/openai/v1/chat/completions")
    assert can_score("https://name.eastus.inference.ml.azure.com/v1/chat/completions")


def test_a_sequence_that_the_teacher_rejects_is_an_error_with_its_reason(serve, client):
    _, url = serve()
    with client(url) as scorer:
        with pytest.raises(EndpointError, match="600 tokens was not scored: HTTP 400: This model's maximum context"):
            scorer.score_all([[7] * 600], [1])
        with pytest.raises(InputError, match="has no token to score from position 3 on"):
            scorer.score_all([[7] * 3], [3])
        assert len(scorer.score_all(SEQUENCES, FIRSTS)) == 4


def request(url="http://host/v1"):
    endpoint = resolve(Teacher(model="m", endpoint=url), "endpoint", {})
    return score_request(scoring_endpoint(endpoint, 2), [7, 8, 9], 1, 2)


def reply(*positions):
    return json.dumps({"choices": [{"prompt_logprobs": positions}], "usage": {}}).encode()


def entries(**logprobs):
    return {name[1:]: {"logprob": value, "rank": 1, "decoded_token": "a"} for name, value in logprobs.items()}


GOOD = entries(t8=-3.0, t1=-0.2, t2=-2.0)


@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        ([None, GOOD], "scored 2 tokens of a sequence of 3"),
        ([None, GOOD, {}], "position 2 has no score of the given token 9"),
        ([None, GOOD, GOOD], "position 2 has no score of the given token 9"),
        ([None, GOOD, entries(t9=-1.0)], "position 2 has 1 of the 2 most likely tokens"),
        ([None, GOOD, entries(t9=0.0, t1=-0.1)], "have a probability above 1"),
        ([None, entries(t8=0.0, t1=-9999.0), entries(t9=0.0, t1=-9999.0)], "a single token with a probability above 0"),
        ([None, GOOD, entries(t9="low", t1=-0.1)], "another form than vLLM's"),
        ([None, GOOD, 7], "another form than vLLM's"),
    ],
)
def test_a_reply_without_usable_scores_is_rejected(positions, reason):
    outcome = request().read(200, {}, reply(*positions))
    assert isinstance(outcome, RowRejected)
    assert reason in outcome.detail


def test_the_likeliest_tokens_are_sorted_and_the_given_one_counts_only_if_it_is_among_them():
    outcome = request().read(200, {}, reply(None, GOOD, entries(t1=-2.0, t9=-0.5)))
    assert json.loads(outcome.logprobs) == {
        "logprobs": [-3.0, -0.5],
        "top_ids": [[1, 2], [9, 1]],
        "top_logprobs": [[-0.2, -2.0], [-0.5, -2.0]],
    }


@pytest.mark.parametrize(
    ("endpoint", "completions", "tokenize"),
    [
        ("http://host:8000", "http://host:8000/v1/completions", "http://host:8000/tokenize"),
        ("http://host/v1/", "http://host/v1/completions", "http://host/tokenize"),
        (
            "https://n.eastus.inference.ml.azure.com/v1",
            "https://n.eastus.inference.ml.azure.com/v1/completions",
            "https://n.eastus.inference.ml.azure.com/tokenize",
        ),
    ],
)
def test_urls_follow_from_that_of_chat_completions(endpoint, completions, tokenize):
    scoring = scoring_endpoint(resolve(Teacher(model="m", endpoint=endpoint), "endpoint", {}), 2)
    assert (scoring.url, tokenize_url(scoring)) == (completions, tokenize)


def test_keys_depend_on_endpoint_tokens_first_and_top_k():
    endpoint = scoring_endpoint(resolve(Teacher(model="m", endpoint="http://host/v1"), "endpoint", {}), 2)
    keys = Counter(
        score_request(other, ids, first, top_k).key
        for other in (endpoint, replace(endpoint, identity="other"))
        for ids in ([7, 8, 9], [7, 8, 10])
        for first in (1, 2)
        for top_k in (2, 3)
    )
    assert len(keys) == 16
