"""What is said of a checkpoint and its servers, in words; pure."""

from dataclasses import dataclass

from app.engines.check import SelfCheck
from app.engines.protocol import AdapterState, CheckpointStatus, ReplicaStatus
from app.engines.registry import Checkpoint
from app.engines.vllm.client import ServerState
from app.engines.vllm.faults import address
from app.errors import AppError

# Older CPU servers compute a base request that shares a step with an adapter's request with that adapter.
FIRST_ISOLATED_VERSION = (0, 33)


@dataclass(frozen=True, slots=True)
class Seen:
    """One server as it is seen now: its answer, and what this process knows of it.

    `leak` is what the probe found, `isolated` that it found nothing; `aside` says why it is not asked, and how
    long; `running` and `queued` count this process's requests.
    """

    url: str
    found: ServerState | AppError
    leak: str = ""
    isolated: bool = False
    aside: str = ""
    running: int = 0
    queued: int = 0


def checkpoint_status(checkpoint: Checkpoint, seen: list[Seen], check: SelfCheck | None) -> CheckpointStatus:
    """Say whether a checkpoint can answer: it can when one of its servers can."""
    replicas = tuple(_replica(checkpoint, one) for one in seen)
    ready = [replica for replica in replicas if replica.ready]
    detail = replicas[0].detail
    if len(replicas) > 1:
        detail = f"{len(ready)} of {len(replicas)} replicas answer: " + "; ".join(r.detail for r in replicas)
    if check is None or not ready:
        verified = None
    else:
        verified, detail = check.passed, f"{detail}; {check.detail}"
    return CheckpointStatus(
        checkpoint=checkpoint.name,
        ready=bool(ready),
        detail=detail,
        verified=verified,
        replicas=replicas if len(replicas) > 1 else (),
        adapter=_adapter(checkpoint, seen),
    )


def _adapter(checkpoint: Checkpoint, seen: list[Seen]) -> AdapterState:
    """Say what can be done about an adapter on servers that let adapters be loaded."""
    willing = [one.found for one in seen if isinstance(one.found, ServerState) and one.found.loads_adapters]
    if checkpoint.adapter is None or not willing:
        return "fixed"
    return "loaded" if all(checkpoint.served_name in found.models for found in willing) else "absent"


def _replica(checkpoint: Checkpoint, seen: Seen) -> ReplicaStatus:
    ready, detail = _state(checkpoint, seen)
    if seen.aside:
        ready, detail = False, f"{detail.removesuffix('.')}; {seen.aside}."
    if ready and seen.queued:
        detail = f"{detail}; {seen.queued} requests wait for {seen.running} under way"
    return ReplicaStatus(where=address(seen.url), ready=ready, detail=detail)


def _state(checkpoint: Checkpoint, seen: Seen) -> tuple[bool, str]:
    found = seen.found
    if isinstance(found, AppError):
        return False, str(found)
    model = found.models.get(checkpoint.served_name)
    where = f"{address(seen.url)}, vLLM {found.version}"
    if model is None:
        served = ", ".join(found.models)
        remedy = "correct served_name in the registry"
        if found.loads_adapters and checkpoint.adapter is not None:
            remedy = f"load the adapter, or {remedy}"
        return False, f"{where} serves {served}, not {checkpoint.served_name!r}; {remedy}."
    if checkpoint.adapter is not None and model.parent is None:
        return False, f"{where} serves {model.name!r} as a full model, but the registry says it is an adapter."
    if seen.leak:
        return False, seen.leak
    kind = f"adapter on {model.parent!r}" if model.parent else "full model"
    doubt = "; not yet probed for adapters leaking into the base" if _doubtful(found, seen) else ""
    return True, f"{where}, {kind}{doubt}"


def _doubtful(found: ServerState, seen: Seen) -> bool:
    shared = any(model.parent for model in found.models.values())
    return shared and is_before(found.version, FIRST_ISOLATED_VERSION) and not seen.isolated


def is_before(found: str, wanted: tuple[int, int]) -> bool:
    """Tell whether a version such as "0.32.0+cpu" is older; one that cannot be read counts as old."""
    try:
        major, minor = (int(part) for part in found.split(".")[:2])
    except ValueError:
        return True
    return (major, minor) < wanted
