"""Every error the service raises on purpose, as one tree.

Each class carries a stable public ``code`` and says whether the same work may be tried again
(``retryable``); its docstring is the default message. HTTP statuses are not known here: they are the
API's one table (``api/errors.py``).
"""

from typing import ClassVar

from shared.printable import printable, printable_lines


class DarkroomError(Exception):
    """Something went wrong inside the service."""

    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after_s: int | None = None,
        job_id: str | None = None,
    ) -> None:
        # It may quote what a caller wrote, and ends on terminals, in logs and on pages.
        self.message = printable_lines(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.param = None if param is None else printable(param)
        self.retry_after_s = retry_after_s
        self.job_id = job_id
        super().__init__(self.message)


# --- what the caller asked for -----------------------------------------------------------------


class RequestError(DarkroomError):
    """The request cannot be served as it was sent."""

    code = "invalid_request"


class InvalidField(RequestError):
    """A field of the request has a value it must not have."""

    code = "invalid_value"


class UnsupportedValue(RequestError):
    """This value is valid but not supported here."""

    code = "unsupported_value"


class UnsupportedParameter(RequestError):
    """This parameter is not supported here."""

    code = "unsupported_parameter"


class PromptBlocked(RequestError):
    """The prompt was blocked by moderation."""

    code = "moderation_blocked"


class InvalidApiKey(RequestError):
    """This API key is not valid here."""

    code = "invalid_api_key"


class PermissionDenied(RequestError):
    """This API key must not do that."""

    code = "permission_denied"


class HostNotAllowed(PermissionDenied):
    """Without an API key, this service answers only to the names that it knows as its own."""

    code = "host_not_allowed"


class OriginNotAllowed(PermissionDenied):
    """Without an API key, this service answers no page of another site."""

    code = "origin_not_allowed"


class InvalidSignature(PermissionDenied):
    """This address is not signed by this service, or was changed."""

    code = "invalid_signature"


class UrlExpired(PermissionDenied):
    """This address has expired, and what was at it."""

    code = "url_expired"


class UnsupportedEndpoint(RequestError):
    """OpenAI has this route, and this service has it not."""

    code = "unsupported_endpoint"


class ModelNotFound(RequestError):
    """There is no such model."""

    code = "model_not_found"


class JobNotFound(RequestError):
    """There is no such job."""

    code = "job_not_found"


class ObjectNotFound(RequestError):
    """There is nothing at this address any more."""

    code = "object_not_found"


class FileNotFound(RequestError):
    """There is no such file."""

    code = "file_not_found"


class BatchNotFound(RequestError):
    """There is no such batch."""

    code = "batch_not_found"


class InvalidFile(RequestError):
    """This file cannot be used."""

    code = "invalid_file"


class TooManyFiles(RequestError):
    """You have as many files as you may keep, or they take as much; delete some of them."""

    code = "too_many_files"


class FileInUse(RequestError):
    """A batch that has not ended reads this file; cancel it first."""

    code = "file_in_use"


class BatchEnded(RequestError):
    """This batch has ended, or is about to: there is nothing left to cancel."""

    code = "batch_ended"


class JobNotFinished(RequestError):
    """The job has not finished yet."""

    code = "job_not_finished"


class ResultExpired(RequestError):
    """The result of this job has expired."""

    code = "result_expired"


class BodyTooLarge(RequestError):
    """The request body is larger than the service takes."""

    code = "body_too_large"


class NotJson(RequestError):
    """The request body must be JSON, sent with a JSON content type."""

    code = "not_json"


class InvalidForm(RequestError):
    """The form cannot be read."""

    code = "invalid_form"


class InvalidImage(RequestError):
    """A file is no picture that can be edited."""

    code = "invalid_image"


class WebhookSecretMissing(RequestError):
    """There is no secret that could sign the webhook of this job."""

    code = "webhook_secret_missing"


class NotForm(RequestError):
    """The request body must be a form (multipart/form-data) or JSON."""

    code = "not_form"


class UnsupportedEncoding(RequestError):
    """The request body must be sent as it is: no Content-Encoding is understood."""

    code = "unsupported_encoding"


class UnsupportedCharset(RequestError):
    """The request body must be UTF-8."""

    code = "unsupported_charset"


class UnsupportedTransferEncoding(RequestError):
    """The only Transfer-Encoding that is understood is 'chunked'."""

    code = "unsupported_transfer_encoding"


class UnsupportedExpectation(RequestError):
    """The only Expect that is understood is '100-continue'."""

    code = "unsupported_expectation"


class InvalidHttp(RequestError):
    """This is not HTTP, or not unambiguously."""

    code = "invalid_http"


class UrlTooLong(RequestError):
    """The request's URL is longer than the service takes."""

    code = "url_too_long"


class HeadTooLarge(RequestError):
    """The request has more headers, or larger ones, than the service takes."""

    code = "head_too_large"


class RequestTimeout(RequestError):
    """The request did not arrive in time."""

    code = "request_timeout"


class IdempotencyMismatch(RequestError):
    """This Idempotency-Key was already used with another request body."""

    code = "idempotency_key_reused"


# --- why it was not accepted -------------------------------------------------------------------


class Refused(DarkroomError):
    """The request was not accepted; the same request may be accepted later."""

    code = "refused"
    retryable = True


class TooManyConnections(Refused):
    """The service has as many connections as it takes."""

    code = "too_many_connections"


class ApiUnavailable(Refused):
    """The API cannot be reached at the moment: the proxy in front of it says so."""

    code = "api_unavailable"


class TooManyJobs(Refused):
    """You have too many unfinished jobs; wait until some of them end."""

    code = "too_many_jobs"


class TooManyBatches(Refused):
    """You have too many unfinished batches; wait until one of them ends."""

    code = "too_many_batches"


class RateLimitExceeded(Refused):
    """You have asked too often; wait a moment."""

    code = "rate_limit_exceeded"


class QueueFull(Refused):
    """The service's queue is full."""

    code = "queue_full"


class WaitTooLong(QueueFull):
    """The queue is so long that this could not be done in time."""


class ResultsFull(QueueFull):
    """Too many results are waiting to be fetched or to expire."""


class InputsFull(QueueFull):
    """Too many pictures are waiting to be edited."""


class NoWorker(Refused):
    """No worker that serves this model is alive."""

    code = "no_worker"


class ModerationUnavailable(Refused):
    """The prompt could not be moderated now."""

    code = "moderation_unavailable"


class Stopping(Refused):
    """This process is stopping; the same request is served by another one, or by this one in a moment."""

    code = "service_stopping"


class StoreUnavailable(Refused):
    """The job store cannot be reached."""

    code = "store_unavailable"


class ObjectUnavailable(Refused):
    """The store of results cannot be reached, or refuses this service."""

    code = "object_store_unavailable"


class InputsLost(StoreUnavailable):
    """The job store lost the pictures before it had the job: send them again."""


# --- how a job ended without a picture ---------------------------------------------------------


class JobFailed(DarkroomError):
    """The job ended without a picture."""

    code = "generation_failed"


class GenerationFailed(JobFailed):
    """The picture could not be generated."""


class WorkerLost(JobFailed):
    """Every worker that ran this job was lost."""

    code = "worker_lost"


class PictureBlocked(JobFailed):
    """The picture was blocked by moderation."""

    code = "moderation_blocked"


class UploadFailed(JobFailed):
    """The picture could not be written to the store of results."""

    code = "upload_failed"


class NoObjectStore(UploadFailed):
    """The worker that was to draw this knows no store of results."""

    retryable = True


class DeadlineExceeded(JobFailed):
    """The job's deadline passed before its picture was ready."""

    code = "deadline_exceeded"


class JobCancelled(JobFailed):
    """The job was cancelled."""

    code = "job_cancelled"


class HeldTooLong(DarkroomError):
    """The call was held as long as the service allows; the job goes on."""

    code = "timeout"


# --- inside the worker -------------------------------------------------------------------------


class LeaseLost(DarkroomError):
    """This attempt no longer owns its job: it was cancelled, moved or has ended."""

    code = "lease_lost"


class AttemptCancelled(DarkroomError):
    """The attempt was told to stop."""

    code = "attempt_cancelled"


class MadeWay(AttemptCancelled):
    """It made way for another job."""

    code = "made_way"


class DeviceBroken(DarkroomError):
    """The device is no longer usable; the process must end."""

    code = "device_broken"
    retryable = True


class OutOfDeviceMemory(GenerationFailed):
    """The device has not enough memory for this picture."""

    code = "generation_failed"


# --- at start ----------------------------------------------------------------------------------


class ConfigurationError(DarkroomError):
    """The service is configured in a way it cannot run."""

    code = "configuration_error"


class CatalogueError(ConfigurationError):
    """The model catalogue has an entry that cannot be used."""

    code = "catalogue_error"
