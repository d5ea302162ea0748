"""The service keeps what its OpenAPI document promises: schemathesis looks for a call where it does not."""

import secrets

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from api.app import create_app
from shared.settings import Settings
from tests.http_caller import ASYNC, JOBS
from tests.integration.conftest import Serve, Service

DOCUMENT = create_app(Settings()).openapi()

# The one place where a check is told more than the document can say. By default a call that fits the schema
# must not be a 400. Ours may be one: so the contract answers a valid value that is not supported, which no
# schema can tell from the others (response_format "url", a size that this model does not draw).
CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            "positive_data_acceptance": {
                "expected-statuses": ["2xx", "400", "401", "403", "404", "409", "5xx"]
            }
        }
    }
)

schema = schemathesis.openapi.from_dict(DOCUMENT, config=CONFIG)


def test_the_document_is_the_one_that_is_served(automatic: Service) -> None:
    assert automatic.caller.http.get("/openapi.json").json() == DOCUMENT


@schema.parametrize()
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
def test_every_call_keeps_the_documents_promises(case: schemathesis.Case, automatic: Service) -> None:
    # An owner of its own for each call: a used Idempotency-Key is refused with another body, rightly.
    headers = {"Authorization": f"Bearer {secrets.token_hex()}"}

    case.call_and_validate(base_url=automatic.api.url, headers=headers, timeout=10)


@pytest.mark.parametrize("end", ["queued", "running", "succeeded", "failed", "cancelled"])
def test_a_job_keeps_them_in_each_of_its_statuses(service: Service, end: str) -> None:
    job_id = service.caller.submit(n=2)
    bring_to(service, job_id, end)
    assert service.caller.job(job_id)["status"] == end

    for path, method in ((JOBS, "GET"), (f"{JOBS}/{{job_id}}", "GET"), (f"{JOBS}/{{job_id}}/result", "GET")):
        ask(service, path, method, job_id)
    ask(service, f"{JOBS}/{{job_id}}", "DELETE", job_id)


def test_an_accepted_job_keeps_them(service: Service) -> None:
    operation = schema["/v1/images/generations"]["POST"]
    case = operation.Case(body={"prompt": "a tiny picture"}, headers=ASYNC, media_type="application/json")

    assert case.call_and_validate(base_url=service.api.url, timeout=10).status_code == 202


def test_a_refusal_keeps_them(serve: Serve) -> None:
    service = serve(models=())
    operation = schema["/v1/images/generations"]["POST"]
    case = operation.Case(body={"prompt": "a tiny picture"}, media_type="application/json")

    answer = case.call(base_url=service.api.url, timeout=10)

    assert answer.status_code == 503
    operation.validate_response(answer)


@pytest.mark.parametrize("name", ["tiny", "studio/Tiny-1"])
def test_a_model_keeps_them(automatic: Service, name: str) -> None:
    case = schema["/v1/models/{name}"]["GET"].Case(path_parameters={"name": name})

    assert case.call_and_validate(base_url=automatic.api.url, timeout=10).status_code == 200


def bring_to(service: Service, job_id: str, status: str) -> None:
    """Take the one queued job as far as the status."""
    if status == "cancelled":
        service.caller.cancel(job_id)
    elif status != "queued":
        attempt = service.worker.take()
        if status == "succeeded":
            service.worker.finish(attempt)
        elif status == "failed":
            service.worker.fail(attempt)


def ask(service: Service, path: str, method: str, job_id: str) -> None:
    """Ask as the owner of the job, and check the answer against the document."""
    operation = schema[path][method]
    case = operation.Case(path_parameters={"job_id": job_id} if "{" in path else {})
    answer = case.call(base_url=service.api.url, headers=dict(service.caller.http.headers), timeout=10)
    operation.validate_response(answer)
    assert str(answer.status_code) in operation.definition.raw["responses"]
