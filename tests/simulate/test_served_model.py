"""A served model over HTTP: its replies in vLLM's form have the values of the model in this process."""

import asyncio
import math

import aiohttp
import pytest
import torch

from azdistill.contracts.simulation import ServedModel, SimulatedLimits, Simulation
from azdistill.simulate.model.teacher import ModelTeacher
from azdistill.simulate.process import running
from azdistill.simulate.server import listening
from azdistill.students.loading import load_student
from tests.students import tiny

MESSAGES = [{"role": "user", "content": "hi"}]
IDS = [30, 31, 32, 200, 3, 77]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def student(folder):
    return load_student(folder)


@pytest.fixture
def served(student):
    """Call `function(post, get)` with a served model; a reply is its status and its JSON."""

    def run(function, *, key=None, headers=None, model=None, **settings):
        teacher = ModelTeacher(Simulation(**{"latency_ms": 0, **settings}), student, "tiny", key, **(model or {}))

        async def calls():
            async with listening(teacher) as url, aiohttp.ClientSession(url, headers=headers) as session:

                async def read(response):
                    return response.status, await (
                        response.json() if response.content_type == "application/json" else response.text()
                    )

                async def post(path, **body):
                    async with session.post(path, json=body) as response:
                        return await read(response)

                async def get(path):
                    async with session.get(path) as response:
                        return await read(response)

                return await function(post, get)

        try:
            return asyncio.run(calls())
        finally:
            teacher.stop()

    return run


def score(**body):
    return lambda post, get: post(
        "/v1/completions", **{"prompt": IDS, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 3, **body}
    )


def logprobs_of(student, ids):
    """Log probabilities of the model in this process: row n has those of token n + 1."""
    with torch.inference_mode():
        return student.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)


def test_prompt_logprobs_are_those_of_the_model_with_the_given_token_and_the_likeliest(served, student):
    status, reply = served(score())
    assert status == 200
    (choice,) = reply["choices"]
    expected = logprobs_of(student, IDS)
    first, *positions = choice["prompt_logprobs"]
    assert first is None
    assert len(positions) == len(IDS) - 1
    for index, position in enumerate(positions):
        given, row = IDS[index + 1], expected[index]
        values, top = row.topk(3)
        assert set(position) == {str(token) for token in (*top.tolist(), given)}
        assert position[str(given)]["logprob"] == pytest.approx(float(row[given]), abs=1e-4)
        assert position[str(given)]["rank"] == int((row > row[given]).sum()) + 1
        assert position[str(given)]["decoded_token"] == student.tokenizer.decode([given])
        top_logprobs = [position[str(token)]["logprob"] for token in top.tolist()]
        assert top_logprobs == pytest.approx(values.tolist(), abs=1e-4)
    assert reply["usage"] == {"prompt_tokens": 6, "completion_tokens": 1, "total_tokens": 7}
    assert choice["text"] == student.tokenizer.decode([int(expected[-1].argmax())], skip_special_tokens=True)


def test_sequences_of_different_lengths_are_scored_together_and_do_not_change_each_other(served):
    prompts = [IDS, IDS[:2], [5, 6, 7, 8, 9, 10, 11, 12]]

    async def separately(post, get):
        return [await score(prompt=prompt)(post, get) for prompt in prompts]

    async def together(post, get):
        replies = await asyncio.gather(*(score(prompt=prompt)(post, get) for prompt in prompts))
        return replies, await score(prompt=prompts)(post, get)

    alone = [reply["choices"][0]["prompt_logprobs"] for _, reply in served(separately)]
    replies, (_, batch) = served(together)
    for expected, (_, reply), choice in zip(alone, replies, batch["choices"], strict=True):
        for scored in (reply["choices"][0]["prompt_logprobs"], choice["prompt_logprobs"]):
            assert scored[0] is None
            for ours, other in zip(expected[1:], scored[1:], strict=True):
                assert ours.keys() == other.keys()
                for token, entry in ours.items():
                    assert other[token]["logprob"] == pytest.approx(entry["logprob"], abs=1e-4)
    assert [choice["index"] for choice in batch["choices"]] == [0, 1, 2]


def test_a_text_is_scored_as_its_tokens_and_echo_scores_the_prompt(served, student):
    ids = student.tokenizer("a b")["input_ids"]

    async def calls(post, get):
        return (
            await score(prompt="a b")(post, get),
            await score(prompt=ids)(post, get),
            await post("/v1/completions", prompt="a b", max_tokens=0, echo=True, logprobs=1, temperature=0),
        )

    (_, text), (_, tokens), (_, echoed) = served(calls)
    assert text["choices"][0]["prompt_logprobs"] == tokens["choices"][0]["prompt_logprobs"]
    choice = echoed["choices"][0]
    assert choice["text"] == "a b"
    assert choice["logprobs"]["tokens"] == ["a", " ", "b"]
    assert choice["logprobs"]["text_offset"] == [0, 1, 2]
    scored = [
        position[str(token)]["logprob"] for position, token in zip(choice["prompt_logprobs"][1:], ids[1:], strict=True)
    ]
    assert choice["logprobs"]["token_logprobs"] == [None, *scored]


def test_a_chat_completion_is_greedy_with_the_models_log_probabilities(served, student):
    async def calls(post, get):
        body = {"messages": MESSAGES, "max_tokens": 5, "temperature": 0, "logprobs": True, "top_logprobs": 20}
        return await post("/v1/chat/completions", **body)

    status, reply = served(calls)
    assert status == 200
    choice = reply["choices"][0]
    prompt = student.tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=False)
    expected = student.model.generate(torch.tensor([prompt]), max_new_tokens=5, do_sample=False)[0, len(prompt) :]
    assert choice["message"]["content"] == student.tokenizer.decode(expected, skip_special_tokens=True)
    assert reply["usage"]["completion_tokens"] == len(expected)
    logprobs = logprobs_of(student, [*prompt, *expected.tolist()])[len(prompt) - 1 :]
    entries = choice["logprobs"]["content"]
    spelled = b"".join(bytes(entry["bytes"]) for entry in entries).decode("utf-8", "replace")
    assert spelled == student.tokenizer.decode(expected)
    for entry, token, row in zip(entries, expected, logprobs, strict=False):
        assert entry["logprob"] == pytest.approx(float(row[token]), abs=1e-4)
        assert [top["logprob"] for top in entry["top_logprobs"]] == pytest.approx(
            row.topk(20).values.tolist(), abs=1e-4
        )


def test_samples_depend_on_the_seed(served):
    async def calls(post, get):
        body = {"messages": MESSAGES, "max_tokens": 12, "temperature": 1.5}
        replies = [await post("/v1/chat/completions", **body, seed=seed) for seed in (1, 1, 2)]
        return [reply["choices"][0]["message"]["content"] for _, reply in replies]

    first, again, other = served(calls)
    assert first == again != other


def test_the_other_paths_are_those_of_vllm(served, student):
    async def calls(post, get):
        return (
            await get("/v1/models"),
            await post("/tokenize", model="tiny", prompt="hi<|im_end|>", add_special_tokens=False),
            await get("/health"),
            await get("/version"),
        )

    (_, models), (_, tokens), health, (_, version) = served(calls)
    assert [(card["id"], card["max_model_len"]) for card in models["data"]] == [("tiny", 512)]
    ids = student.tokenizer("hi<|im_end|>", add_special_tokens=False)["input_ids"]
    assert tokens == {"count": 3, "max_model_len": 512, "tokens": ids, "token_strs": None}
    assert health[0] == 200
    assert version["version"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt_logprobs": 21}, "Requested prompt logprobs of 21, which is greater than max allowed: 20"),
        ({"logprobs": 21}, "Requested sample logprobs of 21, which is greater than max allowed: 20"),
        ({"prompt": [3, 4000]}, "Token id 4000 is out of vocabulary"),
        ({"prompt": []}, "non-empty"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, got 0"),
        ({"prompt": [7] * 600}, "maximum context length is 512 tokens"),
        ({"prompt": {"text": "a"}}, "prompt"),
        ({"top_k": 5}, "top_k: unknown field"),
    ],
)
def test_an_invalid_request_is_rejected_as_by_vllm(served, body, message):
    status, reply = served(score(**body))
    assert (status, reply["error"]["code"], reply["error"]["type"]) == (400, 400, "BadRequestError")
    assert message in reply["error"]["message"]


def test_prompts_are_not_scored_when_that_is_off(served):
    async def calls(post, get):
        return await score()(post, get), await post("/v1/completions", prompt=IDS, temperature=0)

    (status, reply), (plain, _) = served(calls, model={"scores_prompts": False})
    assert status == 400
    assert reply["detail"].startswith("Extra parameters ['prompt_logprobs'] are not allowed")
    assert plain == 200


def test_all_log_probabilities_are_given_without_a_limit(served, student):
    _, reply = served(score(prompt=IDS[:2], prompt_logprobs=-1), model={"max_logprobs": -1})
    position = reply["choices"][0]["prompt_logprobs"][1]
    assert sum(math.exp(entry["logprob"]) for entry in position.values()) == pytest.approx(1, abs=1e-3)


def test_key_faults_and_limits_are_those_of_a_simulated_endpoint(served):
    async def twice(post, get):
        return [(await score()(post, get))[0] for _ in range(2)]

    assert served(twice, key="right") == [401, 401]
    assert served(twice, key="right", headers={"Authorization": "Bearer right"}) == [200, 200]
    assert served(twice, throttle_rate=1.0) == [429, 200]
    assert served(twice, limits=SimulatedLimits(requests_per_minute=60)) == [200, 429]


@pytest.mark.slow
def test_a_process_serves_a_model(folder):
    async def models(url):
        async with aiohttp.ClientSession(url) as session, session.get("/v1/models") as response:
            return await response.json()

    with running(Simulation(), ServedModel(folder, prompt_logprobs=False)) as url:
        assert asyncio.run(models(url))["data"][0]["id"] == str(folder)
