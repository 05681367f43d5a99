"""Every example of the format's own documentation, written out as it stands there."""

from __future__ import annotations

from textwrap import dedent, indent

import pytest

from wire.config import Credential, dump_config, parse_config
from wire.config.plugins import DetectErrors, HttpCapture, Monitor, Qscan, ReportUsage

SELF_MANAGED = """\
version: 2

services:
  event_stores:
    - id: console
      type: stdout    # Events go to stdout/logs

  object_stores:
    - id: my_s3
      type: s3
      endpoint: s3.amazonaws.com
      bucket: qpoint-data
      region: us-east-1
      access_key:
        type: env
        value: AWS_ACCESS_KEY_ID
      secret_key:
        type: env
        value: AWS_SECRET_ACCESS_KEY

stacks:
  default_stack:
    plugins:
      - type: http_capture
        config:
          level: summary
          format: text

tap:
  direction: egress
  ignore_loopback: true
  audit_include_dns: false
  http:
    stack: default_stack
"""

SNAPSHOT = """\
version: 2

services:
  event_stores:
    - id: qpoint
      type: pulse
      url: https://api-pulse.qpoint.io
      token:
        type: env
        value: REGISTRATION_TOKEN
  object_stores:
    - id: my_s3_storage
      type: s3
      endpoint: s3.amazonaws.com
      bucket: qtap-objects
      region: us-east-1
      access_url: https://s3.amazonaws.com/{{BUCKET}}/{{DIGEST}}
      insecure: false
      access_key:
        type: env
        value: S3_ACCESS_KEY
      secret_key:
        type: env
        value: S3_SECRET_KEY

stacks:
  default:
    plugins:
      - type: report_usage
      - type: qscan
        config:
          monitors:
            - type: CREDIT_CARD
              record_value: false
            - type: US_SSN
              record_value: false
      - type: detect_errors
        config:
          rules:
            - name: App Error
              trigger_status_codes:
                - '500'
              report_as_issue: true
              record_req_headers: true
              record_res_body: true

tap:
  direction: egress-external
  ignore_loopback: true
  audit_include_dns: false
  http:
    stack: default
  filters:
    groups:
      - qpoint
      - container-runtimes
"""

COMPLETE_STORAGE = """\
version: 2

services:
  event_stores:
    - id: console_stdout
      type: stdout
  
  object_stores:
    - id: minio
      type: s3
      endpoint: minio.internal:9000
      bucket: qpoint-objects
      region: us-east-1
      access_url: https://minio.internal:9000/{{BUCKET}}/{{DIGEST}}
      insecure: false
      access_key:
        type: env
        value: S3_ACCESS_KEY
      secret_key:
        type: env
        value: S3_SECRET_KEY
"""  # noqa: W293  the blanks of its third line stand in the original

EVENT_STDOUT = """\
event_stores:
  - id: console_stdout
    type: stdout
"""
EVENT_PULSE = """\
event_stores:
  - id: pulse
    type: pulse
    endpoint: http://pulse-service:8000
    token: 
      type: env
      value: PULSE_TOKEN
"""  # noqa: W291  as above
OBJECT_STDOUT = """\
object_stores:
  - id: console_stdout
    type: stdout
"""
S3_STORE = """\
object_stores:
  - id: s3_store
    type: s3
    endpoint: storage.example.com:9000
    bucket: qpoint-objects
    region: us-east-1
    access_url: https://storage.example.com/{{BUCKET}}/{{DIGEST}}
    insecure: false
    access_key:
      type: env
      value: S3_ACCESS_KEY
    secret_key:
      type: env
      value: S3_SECRET_KEY
"""
MINIO = """\
object_stores:
  - id: minio
    type: s3
    endpoint: minio.example.com:9000
    bucket: qpoint
    region: us-east-1
    access_url: https://minio.example.com/{{BUCKET}}/{{DIGEST}}
    insecure: false
    access_key:
      type: env
      value: MINIO_ACCESS_KEY
    secret_key:
      type: env
      value: MINIO_SECRET_KEY
"""
AWS = """\
object_stores:
  - id: aws_s3
    type: s3
    endpoint: s3.amazonaws.com
    bucket: my-company-qpoint
    region: us-west-2
    access_url: https://s3.amazonaws.com/{{BUCKET}}/{{DIGEST}}
    insecure: false
    access_key:
      type: env
      value: AWS_ACCESS_KEY_ID
    secret_key:
      type: env
      value: AWS_SECRET_ACCESS_KEY
"""
GCS = """\
object_stores:
  - id: gcs
    type: s3
    endpoint: storage.googleapis.com
    bucket: my-company-qpoint
    region: us-central1
    access_url: https://storage.cloud.google.com/{{BUCKET}}/{{DIGEST}}
    insecure: false
    access_key:
      type: env
      value: GCS_ACCESS_KEY
    secret_key:
      type: env
      value: GCS_SECRET_KEY
"""
CREDENTIAL = """\
access_key:
  type: env
  value: S3_ACCESS_KEY  # Name of the environment variable
"""
TOKEN = """\
token:
  type: env
  value: REGISTRATION_TOKEN    # References env var, not the actual token
"""
WHOLE = {"self-managed": SELF_MANAGED, "snapshot": SNAPSHOT, "storage": COMPLETE_STORAGE}
PARTS = {
    "event stdout": EVENT_STDOUT,
    "event pulse": EVENT_PULSE,
    "object stdout": OBJECT_STDOUT,
    "s3": S3_STORE,
    "minio": MINIO,
    "aws": AWS,
    "gcs": GCS,
}


def in_services(part: str) -> str:
    return "version: 2\nservices:\n" + indent(part, "  ")


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE.keys())
def test_a_whole_example_is_read_and_written_back(text: str) -> None:
    config, _ = parse_config(text, strict=True)
    assert parse_config(dump_config(config), strict=True).config == config


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_a_part_is_read_where_it_belongs(part: str) -> None:
    config, _ = parse_config(in_services(part), strict=True)
    assert parse_config(dump_config(config), strict=True).config == config


def test_self_managed() -> None:
    config, warnings = parse_config(SELF_MANAGED)
    assert warnings == ()
    assert [store.name for store in config.services.event_stores] == ["console"]
    store = config.object_store
    assert store is not None
    assert (store.type, store.endpoint, store.bucket, store.region, store.insecure) == (
        "s3", "s3.amazonaws.com", "qpoint-data", "us-east-1", False,
    )  # fmt: skip
    assert store.access_key == Credential(type="env", value="AWS_ACCESS_KEY_ID")
    assert store.secret_key == Credential(type="env", value="AWS_SECRET_ACCESS_KEY")
    (plugin,) = config.stacks["default_stack"].plugins
    assert plugin.config == HttpCapture(level="summary", format="text")
    tap = config.tap
    assert (tap.direction, tap.ignore_loopback, tap.audit_include_dns, tap.http.stack) == (
        "egress", True, False, "default_stack",
    )  # fmt: skip


def test_the_snapshot() -> None:
    config, warnings = parse_config(SNAPSHOT)
    store = config.event_store
    assert store is not None
    assert (store.type, store.address) == ("pulse", "https://api-pulse.qpoint.io")
    usage, qscan, errors = (plugin.config for plugin in config.stacks["default"].plugins)
    assert usage == ReportUsage()
    assert qscan == Qscan(monitors=(Monitor(type="CREDIT_CARD"), Monitor(type="US_SSN")))
    assert isinstance(errors, DetectErrors)
    (rule,) = errors.rules
    assert (rule.name, rule.trigger_status_codes, rule.report_as_issue) == (
        "App Error", ("500",), True,
    )  # fmt: skip
    assert (rule.record_req_headers, rule.record_req_body) == (True, False)
    assert (rule.record_res_headers, rule.record_res_body) == (False, True)
    assert config.tap.filters.groups == ("qpoint", "container-runtimes")
    assert [(one.line, one.path) for one in warnings] == [(30, "stacks.default.plugins[1]")]
    assert "qscan finds little" in warnings[0].message


def test_a_pulse_store_in_the_clear_is_read_and_warned_of() -> None:
    config, warnings = parse_config(in_services(EVENT_PULSE))
    store = config.event_store
    assert store is not None
    assert store.address == "http://pulse-service:8000"
    assert store.token == Credential(type="env", value="PULSE_TOKEN")
    assert [one.path for one in warnings] == ["services.event_stores[0]"]
    assert "in the clear" in warnings[0].message


@pytest.mark.parametrize("part", [S3_STORE, MINIO, AWS, GCS])
def test_access_urls_are_kept_as_templates(part: str) -> None:
    store = parse_config(in_services(part)).config.object_store
    assert store is not None
    assert store.access_url.endswith("/{{BUCKET}}/{{DIGEST}}")


def test_credentials_by_themselves() -> None:
    inside = indent(dedent(CREDENTIAL), " " * 6) + indent(
        CREDENTIAL.replace("access_key", "secret_key"), " " * 6
    )
    text = "version: 2\nservices:\n  object_stores:\n    - type: s3\n      endpoint: e:1\n"
    text += "      bucket: b\n" + inside
    store = parse_config(text).config.object_store
    assert store is not None
    assert store.access_key == Credential(type="env", value="S3_ACCESS_KEY")
    text = "version: 2\nservices:\n  event_stores:\n    - type: pulse\n      url: https://p\n"
    event_store = parse_config(text + indent(TOKEN, " " * 6)).config.event_store
    assert event_store is not None
    assert event_store.token == Credential(type="env", value="REGISTRATION_TOKEN")
