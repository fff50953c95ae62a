"""The columns of what was shown: presentations, the responses in them, and the traces of these. Pure."""

from app.results.column import Column

PRESENTATIONS = (
    Column("presentation_id", "Opaque id of this item and pair as shown to this annotator; joins the tables."),
    Column("annotator_pid", "Pseudonym of the annotator, one per study."),
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("item_kind", "regular, practice or gold; only regular items are results."),
    Column("model_left", "Name of the arm shown left, as A."),
    Column("model_right", "Name of the arm shown right, as B."),
    Column("response_left_sha256", "SHA-256 of the left response's text in UTF-8, hexadecimal."),
    Column("response_right_sha256", "SHA-256 of the right response's text in UTF-8, hexadecimal."),
    Column("side_order_key", "The keyed hash that drew the sides, as in preferences.csv."),
    Column(
        "state",
        "submitted, skipped (could not be judged), leased (in hand) or expired (given back); the first two are judged.",
    ),
    Column(
        "created_at",
        "When the item was handed to the annotator, UTC, ISO 8601; empty where an imported judgment does not say.",
        "time",
    ),
    Column("submitted_at", "When it was first submitted, UTC, ISO 8601; empty where it was not.", "time"),
    Column("imported_from", "SHA-256 of the file an imported judgment came in; empty where it was judged here."),
)

RESPONSES = (
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("item_kind", "regular, practice or gold; only regular items are results."),
    Column("model", "Name of the arm that answers."),
    Column("response_sha256", "SHA-256 of the text in UTF-8, hexadecimal; joins the other tables."),
    Column("prompt", "The prompt of the item."),
    Column("text", "The response as it is stored, which spans count in; what a page masks is not masked here."),
    Column("checkpoint", "Name of the checkpoint that wrote it; empty where it was given to the study."),
    Column("origin", "generated, pasted or imported."),
    Column("finish", "stop, length (most tokens reached), stopped (by a person), failed or given (not written here)."),
    Column("tokens", "How many token ids are stored with it; 0 where only the text was given.", "int"),
    Column("token_ids_sha256", "SHA-256 of the JSON list of its token ids, without blanks; empty where there is none."),
    Column(
        "run", "How it was made: engine, version, dtype, revision, template, decoding; lengths are in traces.", "json"
    ),
    Column("withheld", "true where a leak flag keeps it from being shown to anybody.", "bool"),
    Column("leaks", "What was decided of its leak flags: each with kind, start, end and decision.", "json"),
    Column("created_at", "When it was stored, UTC, ISO 8601.", "time"),
)

TRACES = (
    Column("item_id", "Opaque id of the prompt within the study."),
    Column("item_kind", "regular, practice or gold; only regular items are results."),
    Column("model", "Name of the arm whose response was read."),
    Column("response_sha256", "SHA-256 of the response's text; joins responses.jsonl."),
    Column("checkpoint", "Name of the checkpoint that read it; usually the one that wrote it."),
    Column("reference", "Name of the checkpoint it is compared with, called base below."),
    Column("base_prompt", "What the reference read before the response: same_ids, plain or few_shot."),
    Column("engine", "Name of the engine that scored it."),
    Column("engine_version", "Version of the engine."),
    Column("dtype", "Number type the engine computed in."),
    Column("kl_kind", "exact, or lower_bound where only the most likely tokens were known."),
    Column("border_width", "Nats by which rounding may move a log-probability; near_border uses it.", "float"),
    Column("n", "How many tokens were scored.", "int"),
    Column("unshifted", "How many of them have base rank 1.", "int"),
    Column("marginal", "How many have base rank 2 or 3.", "int"),
    Column("shifted", "How many have a higher base rank.", "int"),
    Column("mean_kl_tuned_base", "Mean of kl_tuned_base over the tokens.", "float"),
    Column("mean_kl_base_tuned", "Mean of kl_base_tuned over the tokens.", "float"),
    Column(
        "text_lengths",
        "Code points each token adds to the text, so token i covers text[sum of those before : that plus its own]; "
        "may be longer than the other lists; null where the response is not known token by token.",
        "ints",
    ),
    Column("token_ids", "Per scored token: its id.", "ints"),
    Column("base_ranks", "Per scored token: its rank under the reference; 1 is the most likely.", "ints"),
    Column("tuned_ranks", "Per scored token: its rank under the checkpoint.", "ints"),
    Column("classes", "Per scored token: unshifted, marginal or shifted.", "texts"),
    Column("base_logprobs", "Per scored token: natural logarithm of its probability under the reference.", "floats"),
    Column("tuned_logprobs", "Per scored token: the same under the checkpoint.", "floats"),
    Column(
        "kl_tuned_base",
        "Per scored token: KL divergence of the checkpoint from the reference, in nats over the vocabulary.",
        "floats",
    ),
    Column("kl_base_tuned", "Per scored token: KL divergence of the reference from the checkpoint, in nats.", "floats"),
    Column("near_border", "Per scored token: true where rounding alone could change its class.", "bools"),
)
