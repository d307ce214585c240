"""Shapes of data as people have them, each with the documentation whose form it follows, and what is read from it.

Every file has two rows with the same conversation: the question Q, and the reference answer A unless `gold` says
otherwise.
"""

import gzip
import io
import json
from dataclasses import dataclass
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet

Q, A = "Where is Paris?", "In France."

OPENAI = "https://platform.openai.com/docs/guides/supervised-fine-tuning"
OPENAI_BATCH = "https://platform.openai.com/docs/guides/batch"
OPENAI_TOOLS = "https://platform.openai.com/docs/guides/function-calling"
TRL = "https://huggingface.co/docs/trl/dataset_formats"
LLAMA_FACTORY = "https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md"
DATASETS = "https://huggingface.co/docs/datasets/loading"
BEDROCK = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html"
AZURE = "https://learn.microsoft.com/azure/ai-foundry/concepts/concept-model-distillation"
COLLECTOR = "https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data"
STORED = "https://platform.openai.com/docs/api-reference/chat/list"
STORED_AZURE = "https://learn.microsoft.com/azure/ai-foundry/openai/how-to/stored-completions"
SAMPLES = "https://github.com/Azure/azureml-examples/tree/main/cli/foundation-models/system/distillation/"
SQUAD = "https://huggingface.co/datasets/rajpurkar/squad"


@dataclass(frozen=True)
class Shape:
    """A file of one shape. `messages` are pairs of role and text; without them, the user asks Q."""

    name: str
    source: str
    content: bytes
    gold: Any = A
    messages: tuple[tuple[str, str], ...] = (("user", Q),)
    task: str = "conversation"
    file: str = "rows.jsonl"


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def twice(name: str, source: str, row: Any, **fields: Any) -> Shape:
    return Shape(name, source, jsonl(row, row), **fields)


def turns(*contents: Any) -> list[dict[str, Any]]:
    """User and assistant turns that alternate."""
    roles = ("user", "assistant")
    return [{"role": roles[index % 2], "content": content} for index, content in enumerate(contents)]


def parquet(*rows: Any) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


def arrow(*rows: Any, stream: bool = False) -> bytes:
    table, sink = pyarrow.Table.from_pylist(list(rows)), io.BytesIO()
    with (pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _cell(value: Any) -> str:
    """JSON as a cell of a CSV file."""
    return '"' + json.dumps(value).replace('"', '""') + '"'


PLAIN = {"messages": turns(Q, A)}
PAIR = {"prompt": Q, "completion": A}
CSV = f"prompt,completion\n{Q},{A}\n{Q},{A}\n".encode()
SYSTEM = (("system", "Be brief."), ("user", Q))
CALL = {"id": "1", "type": "function", "function": {"name": "find", "arguments": '{"city": "Paris"}'}}
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
ASKED = '<tool_call>\n{"name": "find", "arguments": {"city": "Paris"}}\n</tool_call>'
RESPONSE = "<tool_response>\nFrance\n</tool_response>"
NLI = "Premise: It rains.\nHypothesis: It is wet.\nDoes the premise entail the hypothesis? "
NLI += "Answer with one word: entailment, neutral or contradiction."
SQUAD_PROMPT = "Paris is in France.\n\nWhere?\nAnswer with as few words as possible. "
SQUAD_PROMPT += "If the passage does not answer it, answer: no answer."
BEDROCK_LOG = {
    "schemaType": "ModelInvocationLog",
    "modelId": "meta.llama3-3-70b-instruct-v1:0",
    "input": {
        "inputBodyJson": {"messages": [{"role": "user", "content": [{"text": Q}]}], "system": [{"text": "Be brief."}]}
    },
    "output": {"outputBodyJson": {"output": {"message": {"role": "assistant", "content": [{"text": A}]}}}},
}

# A stored completion, and its messages: two requests of the API, joined in one row.
STORED_COMPLETION = {
    "object": "chat.completion",
    "id": "chatcmpl-1",
    "model": "gpt-4.1-2025-04-14",
    "created": 1738960610,
    "usage": {"total_tokens": 15, "completion_tokens": 3, "prompt_tokens": 12},
    "metadata": {"topic": "cities"},
    "choices": [
        {
            "index": 0,
            "message": {"content": A, "role": "assistant", "tool_calls": None, "function_call": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "messages": [{"id": "chatcmpl-1-0", "role": "user", "content": Q, "name": None, "content_parts": None}],
}
COLLECTED = {
    "specversion": "1.0",
    "id": "1",
    "source": "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/"
    "onlineEndpoints/support/deployments/blue",
    "type": "azureml.inference.request",
    "datacontenttype": "application/json",
    "time": "2026-11-01T08:51:30Z",
    "correlationid": "c-1",
    "data": {"model": "support", "messages": turns(Q)},
}
COLLECTED_RESPONSE = {
    **COLLECTED,
    "id": "2",
    "type": "azureml.inference.response",
    "data": {name: value for name, value in STORED_COMPLETION.items() if name != "messages"},
}


def sample(task: str, name: str, *messages: tuple[str, str], gold: Any = None, asked: int = 2) -> Shape:
    """Rows in the form of Azure's own samples of distillation: `asked` turns are the prompt."""
    row = {"messages": [{"role": role, "content": content} for role, content in messages]}
    return twice(f"Azure's sample {name}", SAMPLES + name, row, task=task, messages=messages[:asked], gold=gold)


SHAPES = [
    sample("nli", "nli", ("system", "Answer with one of three labels."), ("user", "Premise: a\nHypothesis: b")),
    sample("qa", "nlu_qa", ("system", "Answer with a letter."), ("user", "Where?\n(A) Rome\n(B) Paris")),
    sample("math", "math", ("system", "Answer with a number."), ("user", "Two and two?")),
    sample("summarization", "summarization", ("system", "Summarize the dialogue."), ("user", "A: Hi. B: Hi.")),
    sample(
        "conversation",
        "conversation",
        ("system", "Complete the conversation."),
        ("user", "Hi."),
        ("assistant", "Hello."),
        ("user", Q),
        ("assistant", A),
        gold=A,
        asked=4,
    ),
    twice("OpenAI's stored completions", STORED, STORED_COMPLETION, gold=None),
    twice("Azure OpenAI's stored completions", STORED_AZURE, STORED_COMPLETION, gold=None),
    twice("the file of a distillation of stored completions", STORED_AZURE, {"messages": turns(Q, A)}),
    twice("requests of the data collector", COLLECTOR, COLLECTED, gold=None),
    twice("chat messages", OPENAI, PLAIN),
    twice("chat without an answer", OPENAI, {"messages": turns(Q)}, gold=None),
    twice("chat with an answer next to it", AZURE, {"messages": turns(Q), "answer": A}),
    twice(
        "a system turn",
        OPENAI,
        {"messages": [{"role": "system", "content": "Be brief."}, *turns(Q, A)]},
        messages=SYSTEM,
    ),
    twice(
        "a developer turn",
        OPENAI,
        {"messages": [{"role": "developer", "content": "Be brief."}, *turns(Q, A)]},
        messages=SYSTEM,
    ),
    twice(
        "content as text parts",
        OPENAI,
        {"messages": turns([{"type": "text", "text": Q}], [{"type": "text", "text": A}])},
    ),
    twice("names and weights", OPENAI, {"messages": [{**turns(Q)[0], "name": "ann"}, {**turns(Q, A)[1], "weight": 1}]}),
    twice(
        "tool calls",
        OPENAI_TOOLS,
        {
            "messages": [
                *turns(Q),
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "1", "content": "France"},
                {"role": "assistant", "content": A},
            ]
        },
        messages=(("user", Q), ("assistant", ASKED), ("user", RESPONSE)),
    ),
    twice(
        "tools without calls",
        OPENAI_TOOLS,
        {"messages": turns(Q, A), "tools": [TOOL]},
        messages=(("system", f"<tools>\n{json.dumps(TOOL)}\n</tools>"), ("user", Q)),
    ),
    twice(
        "function calls of the first API",
        OPENAI_TOOLS,
        {
            "messages": [
                *turns(Q),
                {"role": "assistant", "content": None, "function_call": CALL["function"]},
                {"role": "function", "name": "find", "content": "France"},
                {"role": "assistant", "content": A},
            ]
        },
        messages=(("user", Q), ("assistant", ASKED), ("user", RESPONSE)),
    ),
    twice("batch requests", OPENAI_BATCH, {"custom_id": "1", "method": "POST", "body": PLAIN}),
    twice("prompt and completion", TRL, PAIR),
    twice("prompt and completion as messages", TRL, {"prompt": turns(Q), "completion": [turns(Q, A)[1]]}),
    twice("preference", TRL, {"prompt": Q, "chosen": A, "rejected": "No."}),
    twice("preference with the prompt in the answers", TRL, {"chosen": turns(Q, A), "rejected": turns(Q, "No.")}),
    twice(
        "preference as messages",
        TRL,
        {"prompt": turns(Q), "chosen": [turns(Q, A)[1]], "rejected": [turns(Q, "No.")[1]]},
    ),
    twice("Alpaca", LLAMA_FACTORY, {"instruction": Q, "input": "", "output": A}),
    twice(
        "Alpaca with an input",
        LLAMA_FACTORY,
        {"instruction": "Answer.", "input": Q, "output": A},
        messages=(("user", f"Answer.\n\n{Q}"),),
    ),
    twice(
        "Alpaca with a system prompt",
        LLAMA_FACTORY,
        {"system": "Be brief.", "instruction": Q, "output": A},
        messages=SYSTEM,
    ),
    twice(
        "Dolly",
        "https://huggingface.co/datasets/databricks/databricks-dolly-15k",
        {"instruction": "Where?", "context": "Paris is in France.", "response": A, "category": "closed_qa"},
        messages=(("user", "Where?\n\nParis is in France."),),
    ),
    twice("ShareGPT", LLAMA_FACTORY, {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}),
    twice(
        "ShareGPT with a system prompt",
        LLAMA_FACTORY,
        {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}], "system": "Be brief."},
        messages=SYSTEM,
    ),
    twice(
        "ShareGPT with tools",
        LLAMA_FACTORY,
        {
            "conversations": [
                {"from": "human", "value": Q},
                {"from": "function_call", "value": '{"name": "find", "arguments": {"city": "Paris"}}'},
                {"from": "observation", "value": "France"},
                {"from": "gpt", "value": A},
            ]
        },
        messages=(("user", Q), ("assistant", ASKED), ("user", RESPONSE)),
    ),
    twice("conversations with roles", TRL, {"conversations": turns(Q, A)}),
    twice("one conversation", "https://huggingface.co/datasets/lmsys/lmsys-chat-1m", {"conversation": turns(Q, A)}),
    twice("Bedrock invocation log", BEDROCK, BEDROCK_LOG, gold=None, messages=SYSTEM),
    twice(
        "Bedrock log of InvokeModel",
        BEDROCK,
        {
            **BEDROCK_LOG,
            "operation": "InvokeModel",
            "input": {"inputBodyJson": {"messages": turns(Q), "system": "Be brief.", "max_tokens": 9}},
            "output": {"outputBodyJson": {"content": [{"type": "text", "text": A}], "stop_reason": "end_turn"}},
        },
        gold=None,
        messages=SYSTEM,
    ),
    twice("question and answer", "https://huggingface.co/datasets/openai/gsm8k", {"question": Q, "answer": A}),
    twice("question and several answers", SQUAD, {"question": Q, "answers": [A, "France"]}, gold=(A, "France")),
    twice("query and response", "https://huggingface.co/datasets/meta-math/MetaMathQA", {"query": Q, "response": A}),
    twice(
        "problem and solution",
        "https://huggingface.co/datasets/EleutherAI/hendrycks_math",
        {"problem": Q, "solution": A},
    ),
    twice(
        "input and output",
        "https://huggingface.co/datasets/Muennighoff/natural-instructions",
        {"input": Q, "output": A},
    ),
    twice(
        "SQuAD",
        SQUAD,
        {"question": "Where?", "context": "Paris is in France.", "answers": {"text": ["France"], "answer_start": [12]}},
        task="qa",
        gold="France",
        messages=(("user", SQUAD_PROMPT),),
    ),
    twice(
        "multiple choice",
        "https://huggingface.co/datasets/allenai/ai2_arc",
        {"question": "Where?", "choices": {"text": ["Rome", "Paris"], "label": ["A", "B"]}, "answerKey": "B"},
        task="qa",
        gold="B) Paris",
        messages=(("user", "Where?\nA) Rome\nB) Paris\nAnswer with the letter of the right option."),),
    ),
    twice(
        "SNLI",
        "https://huggingface.co/datasets/stanfordnlp/snli",
        {"premise": "It rains.", "hypothesis": "It is wet.", "label": 0},
        task="nli",
        gold="entailment",
        messages=(("user", NLI),),
    ),
    twice(
        "chat of another task",
        AZURE,
        {"messages": turns(NLI, "entailment")},
        task="nli",
        gold="entailment",
        messages=(("user", NLI),),
    ),
    twice(
        "Alpaca of another task",
        LLAMA_FACTORY,
        {"instruction": NLI, "output": "entailment"},
        task="nli",
        gold="entailment",
        messages=(("user", NLI),),
    ),
    twice(
        "summaries",
        "https://huggingface.co/datasets/abisee/cnn_dailymail",
        {"article": "Long.", "highlights": "Short."},
        task="summarization",
        gold="Short.",
        messages=(("user", "Summarize this text:\n\nLong."),),
    ),
    Shape(
        "a byte order mark in each file of a joined one",
        DATASETS,
        b"\xef\xbb\xbf" + jsonl(PAIR) + b"\xef\xbb\xbf" + jsonl(PAIR),
    ),
    Shape("Windows line ends", DATASETS, jsonl(PAIR, PAIR).replace(b"\n", b"\r\n")),
    Shape("blank lines", DATASETS, b"\n" + jsonl(PAIR) + b"  \n" + jsonl(PAIR)),
    Shape("gzip", DATASETS, gzip.compress(jsonl(PAIR, PAIR)), file="rows.jsonl.gz"),
    Shape("zstd", DATASETS, pyarrow.compress(jsonl(PAIR, PAIR), "zstd", asbytes=True), file="rows.jsonl.zst"),
    Shape("gzip under another name", DATASETS, gzip.compress(jsonl(PAIR, PAIR))),
    Shape("JSON array", DATASETS, json.dumps([PLAIN, PLAIN], indent=2).encode(), file="rows.json"),
    Shape("JSON array on one line", DATASETS, json.dumps([PAIR, PAIR]).encode(), file="rows.json"),
    Shape(
        "JSON array with a byte order mark",
        DATASETS,
        b"\xef\xbb\xbf" + json.dumps([PAIR, PAIR]).encode(),
        file="rows.json",
    ),
    Shape("CSV", DATASETS, CSV, file="rows.csv"),
    Shape("CSV under another name", DATASETS, CSV),
    Shape("CSV with a byte order mark", DATASETS, b"\xef\xbb\xbf" + CSV, file="rows.csv"),
    Shape("CSV with semicolons", DATASETS, CSV.replace(b",", b";"), file="rows.csv"),
    Shape("TSV", DATASETS, CSV.replace(b",", b"\t"), file="rows.tsv"),
    Shape(
        "CSV with conversations",
        DATASETS,
        f"id,messages\n1,{_cell(PLAIN['messages'])}\n2,{_cell(PLAIN['messages'])}\n".encode(),
        file="rows.csv",
    ),
    Shape("Parquet", DATASETS, parquet(PLAIN, PLAIN), file="rows.parquet"),
    Shape("Arrow file", DATASETS, arrow(PAIR, PAIR), file="rows.arrow"),
    Shape("Arrow stream", DATASETS, arrow(PAIR, PAIR, stream=True), file="rows.arrow"),
]
