"""Which command lives where: a module of `app.cli` is imported when one of its commands is called, and not before.

What the list of commands says of each is the first line of its docstring; a test holds the two together.
"""

from app.cli.lazy import Command, Group

COMMANDS: dict[str, Command | Group] = {
    "serve": Command("serve:serve", "Serve the app; the database is upgraded first."),
    "demo": Command(
        "demo:demo", "Build the demo (base, LoRA and full fine-tuning, a study with responses) and serve it."
    ),
    "serve-models": Command(
        "models:serve_models",
        "Start the vLLM servers that a registry needs and keep them running, or write down how.",
    ),
    "doctor": Command(
        "doctor:doctor", "Check engines, adapters, database and settings: one line each, exit code 1 if any fails."
    ),
    "compare": Command(
        "compare:compare", "Answer one prompt with several checkpoints and show every token that tuning shifted."
    ),
    "score": Command(
        "score:score",
        "Score responses token by token under base and tuned; lines without a response are answered greedily first.",
    ),
    "classify": Command("classify:classify", "Count shift classes from base ranks alone: whole, first 5 %, last 95 %."),
    "trace": Command(
        "provenance:trace",
        "Find verbatim spans and nearest instances of each response in a tuning set, and what it borrowed.",
    ),
    "finetune": Command(
        "finetune:finetune", "Tune a base on instruction-answer pairs; the same data and seed give the same weights."
    ),
    "generate": Command(
        "studies:generate",
        "Let every arm answer the items it has not answered yet; interrupted, it continues where it was.",
    ),
    "export": Command(
        "exports:export", "Write a study's judgments: one table, or a zip of all of them with a manifest."
    ),
    "borrowing": Command(
        "borrowing:borrowing", "Measure how much each response borrowed; interrupted, it goes on where it was."
    ),
    "invite": Command("people:invite", "Print single-use links that bring annotators into a study."),
    "user": Group(
        "Add people who run studies, or remove anybody.",
        {
            "add": Command(
                "people:add", "Add a person and print the link with which they sign in and choose a password."
            ),
            "remove": Command(
                "people:remove", "Remove what is known of a person; what they judged stays under their pseudonyms."
            ),
        },
    ),
    "tuning-set": Group(
        "Import or list tuning sets.",
        {
            "add": Command(
                "tuning_set_import:add", "Import a tuning set and index it; one wrong record and nothing is imported."
            ),
            "list": Command(
                "tuning_sets:list_", "List the tuning sets with their versions, hashes, checkpoints and states."
            ),
        },
    ),
    "stats": Group(
        "Agreement, preference and effects of judgments in a CSV file.",
        {
            "agreement": Command(
                "agreement:agreement",
                "Krippendorff's alpha of a row per rater and a field per unit, without a header, blanks for missing.",
            ),
            "preference": Command(
                "stats:preference",
                "Win rates with intervals and Bradley-Terry strengths of the columns left, right and winner (left, "
                "right, tie).",
            ),
            "effects": Command(
                "stats:effects",
                "Side, length, repeated judgments and single annotators behind the preferences of a file.",
            ),
        },
    ),
    "judgments": Group(
        "Import judgments made elsewhere, convert them, or keep a part of them.",
        {
            "import": Command(
                "judgments:bring_in",
                "Bring judgments made elsewhere into a study; the same file again adds nothing.",
            ),
            "convert": Command(
                "judgment_files:convert", "Write comparisons judged with another tool as `tuneshift stats` reads them."
            ),
            "pick": Command(
                "judgment_files:pick",
                "Keep the rows of a file that compare two of some models; a study has at most 12 arms.",
            ),
        },
    ),
    "token": Group(
        "Make, list and revoke keys for programs.",
        {
            "add": Command("tokens:add", "Make a token and print it, this once; with no scope named it may only read."),
            "list": Command("tokens:list_tokens", "List the tokens there are, newest first; never their secrets."),
            "revoke": Command("tokens:revoke", "End a token at once."),
        },
    ),
    "db": Group(
        "Upgrade, back up, restore, check or move the database.",
        {
            "upgrade": Command(
                "database:upgrade", "Bring the database to the newest schema; creates it when there is none."
            ),
            "backup": Command(
                "database:backup", "Copy the database while it is in use; the copy is consistent and checked."
            ),
            "restore": Command(
                "database:restore", "Put a backup in the database's place, and check it; stop the app first."
            ),
            "check": Command(
                "database:check",
                "Say whether the database is sound and current, and count its rows; exit code 1 if it is not.",
            ),
            "move": Command(
                "moving:move",
                "Copy every row, or one study, from one database to another, SQLite or PostgreSQL: all of it, or "
                "nothing.",
            ),
        },
    ),
}
