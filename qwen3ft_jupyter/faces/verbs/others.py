"""The verbs that are about neither models nor fine-tunes nor jobs."""

from __future__ import annotations

from typing import Final

from qwen3ft_jupyter.faces.verbs.entries import CLI, TYPED, Argument, Option, Verb

OTHERS: Final[tuple[Verb, ...]] = (
    Verb(
        "mirror",
        "Serves the cache as a hub, for this machine or others.",
        options=(
            Option("--host", "is the address to listen on (default: 127.0.0.1).", "ADDRESS", "text"),
            Option("--port", "is the port to listen on (default: a free one).", "N", "count"),
            Option("--no-token", "asks for no token, even if other machines can reach the address."),
            Option("--tls", "speaks https, with a certificate that is made for this machine.", group="certificate"),
            Option("--tls-cert", "speaks https with this certificate.", "FILE", "text", group="certificate"),
            Option("--tls-key", "is the key of that certificate, if it is not in the same file.", "FILE", "text"),
        ),
        details=(
            "It runs until it is interrupted; notebooks do not have it because it would keep the kernel busy.",
            "It serves what a download has verified, and names what else lies in the cache or is used in place.",
        ),
        faces=CLI,
    ),
    Verb("practice", "Copies the practice model and its data to a folder.", (Argument("DIR", "folder"),)),
    Verb("help", "Lists the verbs, or explains one.", (Argument("VERB", "verb", "verb", optional_in=TYPED),)),
)
