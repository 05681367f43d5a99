"""An ``http_transaction`` object for people."""

from __future__ import annotations

from wire.objects import HttpTransaction, TransactionRequest, TransactionResponse


def transaction_text(transaction: HttpTransaction) -> str:
    """Several lines, ending without a line end."""
    lines = ["HTTP Transaction", "================", "Metadata:"]
    lines += [f"  {name}: {value}" for name, value in _metadata(transaction) if value]
    lines += ["Request:", *_request(transaction.request)]
    if transaction.response is not None:
        lines += ["Response:", *_response(transaction.response)]
    return "\n".join(lines)


def _metadata(transaction: HttpTransaction) -> list[tuple[str, object]]:
    metadata = transaction.metadata
    return [
        ("Transaction Time", transaction.transaction_time),
        ("Duration", f"{transaction.duration_ms:.0f}ms"),
        ("Direction", transaction.direction),
        ("Process ID", metadata.process_id),
        ("Process", metadata.process_exe),
        ("Container", metadata.container_name),
        ("Container Image", metadata.container_image),
        ("Pod", metadata.pod_name),
        ("Pod Namespace", metadata.pod_namespace),
        ("Bytes Sent", str(metadata.bytes_sent)),
        ("Bytes Received", str(metadata.bytes_received)),
    ]


def _request(request: TransactionRequest) -> list[str]:
    lines = [f"  Method: {request.method}", f"  URL: {request.url}"]
    if request.headers:
        lines += [f"  Protocol: {request.protocol}", f"  User-Agent: {request.user_agent}"]
    return lines + _part("Request", request.headers, request.body)


def _response(response: TransactionResponse) -> list[str]:
    lines = [f"  Status: {response.status}"]
    if response.content_type:
        lines.append(f"  Content-Type: {response.content_type}")
    return lines + _part("Response", response.headers, response.body)


def _part(side: str, headers: list[tuple[str, str]], body: bytes) -> list[str]:
    lines = []
    if headers:
        lines.append(f"  {side} Headers:")
        lines += [f"    {name}: {value}" for name, value in headers]
    if body:
        lines += [f"  {side} Body:", body.decode("utf-8", "replace")]
    return lines
