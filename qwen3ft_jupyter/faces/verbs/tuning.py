"""The verbs about fine-tunes and what comes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from qwen3ft_jupyter.faces.verbs.entries import ALL, CLI, DETACH, JSON, MAGIC, TYPED, Argument, Option, Verb
from qwen3ft_jupyter.messages import Message

AT_ONCE: Final = Option("--at-once", "waits for no other job on the same GPU.")
TUNING: Final[tuple[Verb, ...]] = (
    Verb(
        "finetune",
        "Fine-tunes a model as a job, and follows it.",
        (Argument("CONFIG.yaml", "config", optional_in=MAGIC, group="what"),),
        (
            Option(
                "--schema", "prints the JSON Schema of CONFIG.yaml, for editors and programs.", group="what", faces=CLI
            ),
            Option(
                "--from-run",
                "repeats a fine-tune from its record: same config, data and model.",
                "RUN",
                "text",
                group="what",
            ),
            Option("--dry-run", "only shows what it would be: data, steps, memory, disk, time, and what would fit."),
            Option("--json", "prints the dry run as JSON, for programs.", into="is_json", faces=CLI),
            AT_ONCE,
            DETACH,
            Option(
                "--join",
                "lets this host take part in a fine-tune on several: the first host says this line.",
                "HOST:PORT",
                "text",
                group="place",
                faces=CLI,
            ),
            Option(
                "--node",
                "is which host this is, from 0, where a launcher starts all at once; with --nodes and --master.",
                "K",
                "count",
                group="place",
                faces=CLI,
            ),
            Option("--nodes", "is the number of hosts then.", "N", "count", faces=CLI),
            Option("--master", "is where host 0 listens then.", "HOST:PORT", "text", faces=CLI),
            Option(
                "--print-command",
                "prints the lines that start it by hand, and starts nothing.",
                group="print",
                faces=CLI,
            ),
            Option(
                "--print",
                "prints what another launcher takes: a Kubeflow TrainJob, a Slurm script, a Ray Train script.",
                "TO",
                "text",
                into="print_for",
                choices=("kubeflow", "slurm", "ray"),
                group="print",
                faces=CLI,
            ),
        ),
        (
            "%%qwen3ft finetune takes the YAML in the cell; a value $name stands for the variable of that name.",
            "Such a variable may hold a number, a path or a list; for data also a DataFrame or a list of dicts.",
            "RUN is the job id or output folder of a fine-tune; what differs is named before anything starts.",
            "In a notebook without CONFIG.yaml and without a cell: a form.",
            "Ctrl-C on a host that has joined stops the whole fine-tune, which keeps a checkpoint.",
            "With --node the same line again goes on with an unfinished run of output_dir.",
        ),
        takes_cell=True,
        panel=Message("Fine-tune"),
    ),
    Verb(
        "preview",
        "Shows the data of a fine-tune as the model will see it.",
        (Argument("CONFIG_OR_DATA", "source", optional_in=MAGIC),),
        (
            Option("--model", "is the model whose tokenizer and chat template write it.", "NAME", "text"),
            Option("--count", "is how many samples are shown in full (default: 3).", "N", "count"),
            JSON,
        ),
        (
            "CONFIG_OR_DATA is the YAML file of a fine-tune, or data alone, which needs --model.",
            "What is learned is marked; the rest is only read. The model must be in the cache.",
            "%%qwen3ft preview takes the YAML in the cell, as %%qwen3ft finetune does.",
        ),
        takes_cell=True,
    ),
    Verb(
        "chat",
        "Asks a model, or the result of a fine-tune.",
        (
            Argument("NAME_OR_RUN", "model_name", "run", optional_in=MAGIC),
            Argument("QUESTION", "question", optional_in=CLI, is_text=True),
        ),
        (Option("--max-new-tokens", "limits the length of the answer.", "N", "count"),),
        (
            "NAME_OR_RUN is a repo id, or the job id or output folder of a fine-tune.",
            "QUESTION is the rest of the line, as it is typed; %%qwen3ft chat NAME takes the cell.",
            "In a notebook without NAME_OR_RUN: a form to ask in.",
            "In a terminal without QUESTION: each line of standard input is a question.",
        ),
        takes_cell=True,
    ),
    Verb(
        "evaluate",
        "Measures and asks a model, or the result of a fine-tune, as a job: loss, scores, answers.",
        (Argument("RUN_OR_MODEL", "run", "run"), Argument("DATA", "data", optional_in=TYPED)),
        (
            Option("--max-length", "limits the tokens of a sample (default: the run's).", "N", "count", faces=ALL),
            replace(AT_ONCE, faces=ALL),
            DETACH,
        ),
        (
            "RUN_OR_MODEL is a fine-tune (job id or folder), a model's folder, or a cached model.",
            "DATA is a file, a folder, or owner/name of a data set on a hub, which is fetched first.",
            "Without DATA the rows that the fine-tune kept out of training are measured.",
            "An adapter is compared with its base model.",
        ),
    ),
    Verb(
        "compare",
        "Sets fine-tunes beside each other: where their configs differ, what each came to.",
        (Argument("RUN", "runs", "tuned", is_many=True),),
        (JSON,),
        ("RUN is the job id or output folder of a fine-tune, finished or not.",),
    ),
    Verb(
        "merge",
        "Merges the adapter of a fine-tune into its base model, as a job, and follows it.",
        (Argument("RUN", "run", "tuned"),),
        (
            Option(
                "--into",
                "names the folder of the merged model (default: that of the run, with -merged after its name).",
                "FOLDER",
                "text",
                into="output_dir",
                faces=ALL,
            ),
            Option(
                "--base",
                "says into which weights: the base's original ones (default); those of another repo of the same model, "
                "owner/name, for a base that is stored in 4 bits; or dequantized: those of 4 bits that a "
                "QLoRA was trained on.",
                "BASE",
                "text",
                choices=("original", "dequantized"),
                takes_others=True,
                faces=ALL,
            ),
            Option("--overwrite", "replaces an earlier merge in that folder.", faces=ALL),
            DETACH,
        ),
        (
            "RUN is the job id or output folder of a fine-tune, or a folder with a LoRA adapter in safetensors.",
            "It is computed in float32, saved in the base's number type, and compared with base and adapter.",
            "The folder loads in transformers, vLLM and SGLang, and by load and chat.",
        ),
    ),
    Verb(
        "export",
        "Hands a model, or the result of a fine-tune, to what serves it, and says how; an adapter is merged before.",
        (Argument("RUN_OR_MODEL", "run", "run"),),
        (
            Option(
                "--to",
                "says what serves it (default: safetensors).",
                "TO",
                "text",
                choices=("safetensors", "vllm", "sglang", "ollama", "gguf"),
                faces=ALL,
            ),
            Option(
                "--into",
                "names the folder of what is made: the merged model, the Modelfile or the GGUF file.",
                "FOLDER",
                "text",
                into="output_dir",
                faces=ALL,
            ),
            Option("--overwrite", "replaces what an earlier merge or export wrote there.", faces=ALL),
            DETACH,
        ),
        (
            "RUN_OR_MODEL is a fine-tune or a merge (job id or folder), a model's folder, or a cached model.",
            "ollama gets a Modelfile; gguf is made by llama.cpp's own converter if that is on the PATH.",
            "In a terminal stdout gets the lines that serve the model.",
        ),
    ),
    Verb(
        "push",
        "Shows what publishing the result of a fine-tune would upload; with --yes, uploads it as a job.",
        (Argument("RUN", "run", "tuned"), Argument("REPO", "repo_id")),
        (
            Option("--public", "lets everybody see it; without, only you.", faces=ALL),
            Option("--yes", "uploads it.", into="confirm", faces=ALL),
            JSON,
            DETACH,
        ),
        (
            "RUN is a fine-tune, a merge or an export (job id or folder), or a folder with a model or an adapter.",
            "REPO is owner/name, with you or an organisation of yours as owner; it is made if it is not there.",
            "It goes to the hub that is asked first: --hub huggingface, --hub modelscope.",
            "Only files of the model go, with a card that the hub reads: no checkpoints, data, logs, or other files.",
        ),
    ),
)
