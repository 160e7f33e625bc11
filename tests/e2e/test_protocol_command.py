# SPDX-License-Identifier: Apache-2.0
"""`barnabas protocol` on the built binary."""
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BARNABAS = pathlib.Path(os.environ.get("BARNABAS_BUILD", ROOT / "build")) / "barnabas"
GOLDEN = ROOT / "tests/golden/protocol/kafka-4.4.0.txt"

pytestmark = pytest.mark.skipif(not BARNABAS.exists(), reason=f"needs {BARNABAS}")


def protocol(*words, data=b"", status=0):
    result = subprocess.run([BARNABAS, "protocol", *words], input=data, capture_output=True, timeout=20)
    assert result.returncode == status, result.stderr.decode()
    return result


def golden(name):
    for line in GOLDEN.read_text(encoding="utf-8").splitlines():
        if line.startswith(name + " "):
            return line.split(" ", 3)[1:]
    raise LookupError(name)


@pytest.mark.parametrize("api,kind,name", [
    ("Metadata", "response", "MetadataResponse"),
    ("3", "request", "MetadataRequest"),
    ("Fetch", "request", "FetchRequest"),
])
def test_messages_of_an_api_go_both_ways(api, kind, name):
    version, digits, text = golden(name)
    decoded = protocol("decode", api, version, kind, data=digits.encode()).stdout
    assert decoded.decode().rstrip("\n") == text
    assert protocol("encode", api, version, kind, data=decoded).stdout.decode().strip() == digits
    raw = protocol("encode", api, version, kind, "--raw", data=decoded).stdout
    assert raw == bytes.fromhex(digits)
    assert protocol("decode", api, version, kind, "--raw", data=raw).stdout == decoded


def test_records_are_found_by_their_name():
    version, digits, text = golden("RegisterBrokerRecord")
    assert protocol("decode", "RegisterBrokerRecord", version, data=digits.encode()).stdout.decode() \
        == text + "\n"


def test_hexadecimal_input_may_be_spaced():
    version, digits, text = golden("VotersRecord")
    spaced = "\n".join(digits[at:at + 2] for at in range(0, len(digits), 2))
    assert protocol("decode", "VotersRecord", version, data=spaced.encode()).stdout.decode() == text + "\n"


def test_header_and_body_make_one_document():
    document = {"header": {"requestApiKey": 18, "requestApiVersion": 3, "correlationId": 5, "clientId": "me"},
                "body": {"clientSoftwareName": "a", "clientSoftwareVersion": "1"}}
    encoded = protocol("encode", "ApiVersions", "3", "request", "--header",
                       data=json.dumps(document).encode()).stdout
    assert encoded == b"001200030000000500026d65000261023100\n"
    decoded = protocol("decode", "18", "3", "request", "--header", data=encoded).stdout
    assert json.loads(decoded) == document
    response = protocol("decode", "Metadata", "12", "response", "--header", data=b"00000005", status=1)
    assert b"SHORT" in response.stderr


@pytest.mark.parametrize("words,data,status,expected", [
    (["decode", "Metadata", "99", "request"], b"", 2, b"versions 0 to 13"),
    (["decode", "Nonsense", "1", "request"], b"", 2, b"no API Nonsense"),
    (["decode", "Metadata", "1", "both"], b"", 2, b"neither request nor response"),
    (["decode", "NoRecord", "1"], b"", 2, b"no message NoRecord"),
    (["decode", "Metadata", "1", "request", "--loud"], b"", 2, b"no option --loud"),
    (["decode", "Metadata", "1", "request"], b"0000", 1, b"SHORT"),
    (["decode", "Metadata", "1", "request", "--hex"], b"xyz", 1, b"not hexadecimal"),
    (["encode", "Metadata", "1", "request"], b"{}", 1, b"needs the field topics"),
    (["encode", "Metadata", "1", "request"], b"{", 1, b"line 1"),
    ([], b"", 2, b"usage"),
])
def test_what_cannot_be_done_is_told(words, data, status, expected):
    assert expected in protocol(*words, data=data, status=status).stderr


def test_the_list_has_every_api():
    assert len(protocol("list").stdout.splitlines()) == 91
