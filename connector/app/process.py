"""One process around one service: the loop, the log, the signals, the probes and the exit code."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Iterator
from contextlib import suppress

from connector.app.loop import run_on_loop, watch_callbacks
from connector.app.refusal import Failed, Refusal, refusing
from connector.app.service import Service
from connector.engine.ports import Log
from connector.http.server import CannotListen, HttpServer, Readiness
from connector.settings import Settings
from connector.telemetry.declared_metrics import worker_samples
from connector.telemetry.logs import forward_stdlib, make_log
from connector.telemetry.metrics import Metrics, Sample

_COLLECT_EVERY = 10_000
"""New objects after which the collector looks for cycles, of which a delivery makes none. With Python's own
700 it looked at letters that wait for the broker again and again: nearly half of what each letter cost."""


def run_process(settings: Settings) -> None:
    """Run until a signal stops it. SIGTERM and SIGINT drain, a second one hurries; SIGHUP reads the
    subscriptions again. Raises :class:`Refusal` when it cannot start, :class:`Failed` when
    it cannot go on."""
    log = make_log(format=settings.log.format, level=settings.log.level)
    forward_stdlib(log)
    _raise_file_limit(log)
    run_on_loop(_run(settings, log))


async def _run(settings: Settings, log: Log) -> None:
    with refusing():
        service = Service(settings, log=log)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        if stopped.is_set():
            log.warning("asked to stop again: hurrying")
            service.hurry()
        else:
            log.info("asked to stop: draining")
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, service.reload)
    watch_callbacks(loop, service.fail, log)

    http = _http_server(settings, service)
    try:
        port = await http.start()
    except CannotListen as error:
        raise Refusal(str(error)) from None
    log.info("listening", host=settings.http.host, port=port)
    try:
        why = await _until_stopped(service, stopped)
    finally:
        await service.stop()
        await http.stop()
    if why:
        raise Failed(why)
    log.info("stopped")


async def _until_stopped(service: Service, stopped: asyncio.Event) -> str:
    """Start and work until a signal asks to stop; returns why the worker failed, if it did."""
    stopping = asyncio.create_task(stopped.wait())
    working = asyncio.create_task(_work(service))
    try:
        await asyncio.wait((stopping, working), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else ""
    finally:
        for task in (stopping, working):
            task.cancel()
            with suppress(asyncio.CancelledError, Refusal):
                await task


async def _work(service: Service) -> str:
    await service.start()
    # What is there now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
    return await service.failed()


def _http_server(settings: Settings, service: Service) -> HttpServer:
    def samples() -> Iterator[Sample]:
        if service.worker is not None:
            is_ready = not service.unready()
            yield from worker_samples(service.worker, is_ready=is_ready, is_in_doubt=bool(service.doubt))

    def readiness() -> Readiness:
        reasons = service.unready()
        holds = service.worker.held() if service.worker is not None else {}
        return Readiness(is_ready=not reasons, reasons=reasons, holds=holds)

    return HttpServer(
        settings.http.host,
        settings.http.port,
        is_alive=lambda: True,
        readiness=readiness,
        metrics=Metrics(samples).exposition,
    )


def _raise_file_limit(log: Log) -> None:
    """Connections need file descriptors; the soft limit is often 1,024 for no reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 65_536) if hard != resource.RLIM_INFINITY else 65_536
    if soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    log.info("file limit", soft=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
