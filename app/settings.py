"""Every setting, from `TUNESHIFT_*` variables or `.env`; the only place that reads the environment."""

import os
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import ConfigurationError

ROOT = Path(__file__).resolve().parent.parent
MIN_SECRET_LENGTH = 32
# 32 random hexadecimal digits have about 14 different ones; fewer than 7 is a pattern.
MIN_SECRET_VARIETY = 7
_MAKE_ONE = f"Make one with: openssl rand -hex {MIN_SECRET_LENGTH}"
_PLACEHOLDERS = ("secret", "change", "password", "example", "tuneshift", "0123456789", "abcdefgh")


class Settings(BaseSettings):
    """What an operator may change. Units are in the names."""

    model_config = SettingsConfigDict(
        env_prefix="TUNESHIFT_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    data_dir: Path = Field(
        default=Path("data"), description="Folder for the database, demo checkpoints, keys and logs."
    )
    database_url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite under the data folder.")
    checkpoints: Path | None = Field(
        default=None, description="Registry file; empty means checkpoints.toml in the data folder."
    )
    secret_key: SecretStr | None = Field(
        default=None, description="Signs sessions; empty means generated on first run."
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000", description="Where people reach the app; invite links start so."
    )
    https_only: bool = Field(default=False, description="Send the session cookie over HTTPS only; set it behind TLS.")
    session_days: int = Field(default=14, ge=1, le=365, description="How long a sign-in lasts.")
    invite_days: int = Field(default=14, ge=1, le=365, description="How long an unused invite stays valid.")
    lease_minutes: int = Field(default=60, ge=1, le=10_080, description="How long an unfinished item stays reserved.")
    dtype: Literal["float32", "bfloat16"] = Field(default="float32", description="Number type of the local engine.")
    torch_threads: int = Field(default=0, ge=0, le=512, description="Threads of the local engine; 0 means every core.")
    vllm_dtype: Literal["float32", "bfloat16"] = Field(
        default="float32", description="Number type the vLLM servers run; HTTP does not tell it."
    )
    vllm_api_key: SecretStr | None = Field(default=None, description="Bearer token for the vLLM servers.")
    vllm_python: Path | None = Field(default=None, description="Python that has vLLM, for the servers the demo starts.")
    vllm_read_timeout_s: float = Field(default=60.0, gt=0, description="Longest silence of a vLLM server, seconds.")
    vllm_score_timeout_s: float = Field(
        default=30.0, gt=0, description="Longest scoring on a vLLM server, seconds; 10 ms more for each token."
    )
    vllm_streams: int = Field(default=64, ge=1, le=4_096, description="Responses streamed at once from one server.")
    vllm_scorings: int = Field(default=1, ge=1, le=64, description="Responses scored at once on one server.")
    vllm_waiting: int = Field(default=500, ge=0, le=100_000, description="Requests that may wait for one server.")
    max_prompt_chars: int = Field(default=20_000, ge=1, description="Longest prompt the page accepts, in characters.")
    max_new_tokens: int = Field(default=1_024, ge=1, description="Largest 'max tokens' a comparison may ask for.")
    max_upload_mib: int = Field(default=512, ge=1, le=65_536, description="Largest file a page accepts, in MiB.")
    log_format: Literal["console", "json"] = Field(default="console", description="How log lines are written.")

    @property
    def resolved_database_url(self) -> str:
        """The database to use, the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'tuneshift.db'}"

    @property
    def max_upload_bytes(self) -> int:
        """The largest file a page accepts, in bytes."""
        return self.max_upload_mib * 2**20

    @property
    def resolved_checkpoints(self) -> Path:
        """The registry to use, the default filled in."""
        return self.checkpoints or self.data_dir / "checkpoints.toml"


def settings_for(registry: Path | None) -> Settings:
    """Read the settings, with the registry of a command line, where it names one, in front of the environment's."""
    settings = Settings()
    return settings.model_copy(update={"checkpoints": registry}) if registry else settings


def load_secret(settings: Settings) -> str:
    """Return the signing key, drawing and keeping a random one on first run; there is no default to guess.

    Raises ConfigurationError for a key, set or kept, that is too short or too uniform to be random.
    """
    if settings.secret_key is not None:
        return _random_looking("TUNESHIFT_SECRET_KEY", settings.secret_key.get_secret_value())
    path = settings.data_dir / "secret_key"
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return _random_looking(str(path), path.read_text().strip())
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(MIN_SECRET_LENGTH))
        file.flush()
        os.fsync(file.fileno())
    return path.read_text().strip()


def _random_looking(where: str, key: str) -> str:
    """Return a key that nobody could guess, as far as its looks tell; raise ConfigurationError for any other."""
    if len(key) < MIN_SECRET_LENGTH:
        raise ConfigurationError(
            f"{where} has {len(key)} characters; use at least {MIN_SECRET_LENGTH} random ones.", remedy=_MAKE_ONE
        )
    if len(set(key)) < MIN_SECRET_VARIETY or any(word in key.lower() for word in _PLACEHOLDERS):
        raise ConfigurationError(f"{where} is no random key.", remedy=_MAKE_ONE)
    return key


def share_metrics(folder: Path) -> None:
    """Tell the library that counts to count in files there; it asks once, when it is first imported."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
