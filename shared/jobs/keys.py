"""Every key in Redis, by name. Nothing else in the service spells a key.

The same names are built inside the scripts by ``key('job', id)`` of ``lua/prelude.lua``.

| key | type | holds |
| --- | --- | --- |
| ``job:{id}`` | hash | the record, updated field by field |
| ``queue:{model}`` | zset | queued job ids by the instant they were queued (ms) |
| ``newer:{model}`` | hash | how many queued jobs need each version of the params after the first |
| ``lanes:{model}`` | zset | lanes with queued jobs by virtual start time |
| ``idle:{model}`` | zset | lanes without queued jobs that are still ahead of the model's virtual time |
| ``lane:{model}:{lane}`` | zset | queued job ids of one lane by order of submission |
| ``vtime:{model}`` | string | the model's virtual time |
| ``backlog:{model}`` | string | the summed cost of the queued jobs |
| ``low_running`` | set | running job ids of low priority |
| ``leases`` | zset | running job ids by the end of their lease (ms) |
| ``deadlines`` | zset | unfinished job ids by deadline (ms) |
| ``unfinished:{owner}`` | zset | an owner's unfinished job ids by order of submission |
| ``history:{owner}`` | zset | an owner's job ids by order of submission |
| ``held`` | zset | jobs that live only as long as a caller waits, by the end of that (ms) |
| ``holders:{id}`` | zset | the processes that hold calls for a job by the end of their word (ms) |
| ``owed:{owner}`` | string | the summed cost of an owner's unfinished jobs |
| ``results`` | zset | ``id bytes`` of results that can be fetched by the end of that (ms) |
| ``result_bytes`` | string | their summed size |
| ``result:{id}`` | hash | base64 of each image by index |
| ``stored:{id}`` | hash | names of the images in the store of objects by index, where they lie there |
| ``draft:{id}:{token}`` | hash | the same as either, written by an attempt and not yet the job's |
| ``objects`` | zset | names in the store of objects by the instant (ms) from which each may be deleted |
| ``deleting`` | zset | names that are being deleted by the instant (ms) at which that is tried again |
| ``file:{id}`` | hash | what is known of a file, whose bytes lie in the store of objects |
| ``files:{owner}`` | zset | an owner's file ids by order of creation |
| ``batches`` | zset | batches that have not ended by the instant (ms) at which a courier takes them next |
| ``batches:{owner}`` | zset | an owner's batch ids by order of creation |
| ``unfinished_batches:{owner}`` | zset | those of them that have not ended |
| ``batch_pending:{id}`` | hash | ``offset bytes`` in its file of each line whose job has not ended |
| ``batch_refused:{id}`` | hash | what a call would have been answered, as JSON, by the line that got no job |
| ``batch_replay:{owner}:{digest}`` | string | the batch and body digest of an Idempotency-Key |
| ``signing_key`` | string | what the addresses of objects in a folder are signed with |
| ``input:{id}`` | hash | the pictures that an unfinished job begins with, by ``0``, ``1``, … and ``mask`` |
| ``inputs`` | zset | ``id bytes owner`` of those by the instant (ms) at which no job needs them |
| ``input_bytes`` | string | their summed size |
| ``input_bytes:{owner}`` | string | the same of one owner's jobs |
| ``previews:{id}`` | hash | base64 of each preview by ``image.partial`` (both from 0), for two minutes |
| ``events:{id}`` | channel | ``{attempt, step, steps}``, or ``{attempt, image, partial}`` of a preview |
| ``done`` | stream | ids of jobs that have ended |
| ``hooked`` | zset | unfinished jobs that have a webhook by the instant to look at them next (ms) |
| ``deliveries`` | zset | jobs that have ended, of which a webhook is to be told, by the next try (ms) |
| ``delivering:{owner}`` | zset | an owner's deliveries that are being tried by the end of their lease (ms) |
| ``couriers`` | zset | couriers by their last sign of life (ms) |
| ``webhook_secrets`` | hash | what signs webhooks, by the id of the key or ``open``, as JSON |
| ``open_webhook`` | string | 1 where callers without a key have such a secret |
| ``moved`` | stream | ids of jobs that started or were requeued |
| ``dead`` | stream | jobs that failed because their workers were lost |
| ``unanswered:{owner}:{digest}`` | zset | jobs whose picture has reached nobody by order of submission |
| ``refused:{owner}`` | list | digests of the bodies of an owner's calls that were refused lately |
| ``replay:{owner}:{digest}`` | string | the job and body digest of an Idempotency-Key |
| ``claimed:{seed}`` | string | what a claim took, for the case that its reply was lost |
| ``serving:{model}`` | zset | workers by their last heartbeat (ms) |
| ``api_keys`` | hash | API keys by id, as JSON with a digest of the secret |
| ``rate:{subject}`` | string | when a key's (or an owner's) whole budget of requests is there again (ms) |
| ``usage:{subject}:{day}`` | hash | what an owner or a key used on a day (since 1970) by ``model:what`` |
| ``counts`` | hash | what happened to jobs, for the metrics, by ``model:what:value`` |
| ``models`` | set | models that a worker has ever served or a job was ever queued for |
| ``worker:{worker}`` | hash | what a worker says of itself |
| ``pace`` | hash | learned milliseconds of a worker per unit of cost by model: how fast a queue drains |
| ``latency`` | hash | the same from start to end, shared with other jobs: how long one takes |
| ``eta_error`` | hash | learned error of predicted ends, as a share of the time taken, by model |
| ``reaped_at`` | string | the instant of the last reaper tick (ms) |
| ``order`` | string | counter that gives submissions their order |

What stands under a model in ``lanes``, ``lane`` and ``serving`` is for version 1 of the params. For what
needs version 2, and for the workers that read it, the model is ``{model}@2``, and so on (decision 22).

What stands under a model in ``queue``, ``newer``, ``lanes``, ``idle``, ``lane``, ``vtime``, ``backlog`` and
``serving`` is of jobs of ordinary priority. For those of low priority, and for the workers that take them,
the model is ``{model}~low``: no worker from before there were any looks there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """Builds key names under one prefix."""

    prefix: str

    def key(self, *parts: str) -> str:
        """Return ``prefix`` and the parts, joined by colons."""
        return self.prefix + ":".join(parts)

    def job(self, job_id: str) -> str:
        """The record of a job."""
        return self.key("job", job_id)

    def result(self, job_id: str) -> str:
        """The committed result of a job."""
        return self.key("result", job_id)

    def stored(self, job_id: str) -> str:
        """The names of a job's images in the store of objects."""
        return self.key("stored", job_id)

    def draft(self, job_id: str, token: str) -> str:
        """The result of one attempt before it is the job's."""
        return self.key("draft", job_id, token)

    def input(self, job_id: str) -> str:
        """The pictures that a job begins with."""
        return self.key("input", job_id)

    def previews(self, job_id: str) -> str:
        """The previews of a job."""
        return self.key("previews", job_id)

    def events(self, job_id: str) -> str:
        """The channel on which a running job's steps and previews are told; lossy."""
        return self.key("events", job_id)

    def history(self, owner: str) -> str:
        """The jobs of an owner."""
        return self.key("history", owner)

    def serving(self, model: str) -> str:
        """The workers that serve a model."""
        return self.key("serving", model)

    def queue(self, model: str) -> str:
        """The queued jobs of a model."""
        return self.key("queue", model)

    def newer(self, model: str) -> str:
        """How many queued jobs of a model need which later version of the params."""
        return self.key("newer", model)

    def low(self, model: str) -> str:
        """The queued jobs of a model that are of low priority."""
        return self.key("queue", f"{model}~low")

    def worker(self, name: str) -> str:
        """What a worker says of itself."""
        return self.key("worker", name)

    def rate(self, subject: str) -> str:
        """What is left of a budget of requests."""
        return self.key("rate", subject)

    def usage(self, subject: str, day: int) -> str:
        """What was used on a day, counted from 1970."""
        return self.key("usage", subject, str(day))

    @property
    def counts(self) -> str:
        """What happened to jobs, for the metrics."""
        return self.key("counts")

    @property
    def results(self) -> str:
        """The results that can be fetched."""
        return self.key("results")

    @property
    def result_bytes(self) -> str:
        """What they take."""
        return self.key("result_bytes")

    def owner_input_bytes(self, owner: str) -> str:
        """What the pictures take that an owner's unfinished jobs begin with."""
        return self.key("input_bytes", owner)

    @property
    def inputs(self) -> str:
        """The pictures that unfinished jobs begin with."""
        return self.key("inputs")

    @property
    def input_bytes(self) -> str:
        """What they take."""
        return self.key("input_bytes")

    @property
    def api_keys(self) -> str:
        """The API keys."""
        return self.key("api_keys")

    @property
    def objects(self) -> str:
        """The objects by when they may be deleted."""
        return self.key("objects")

    def file(self, file_id: str) -> str:
        """What is known of a file."""
        return self.key("file", file_id)

    def files(self, owner: str) -> str:
        """The files of an owner."""
        return self.key("files", owner)

    def batch(self, batch_id: str) -> str:
        """A batch."""
        return self.key("batch", batch_id)

    def batches_of(self, owner: str) -> str:
        """The batches of an owner."""
        return self.key("batches", owner)

    def batch_pending(self, batch_id: str) -> str:
        """The lines of a batch whose jobs have not ended."""
        return self.key("batch_pending", batch_id)

    def batch_refused(self, batch_id: str) -> str:
        """The lines of a batch that got no job."""
        return self.key("batch_refused", batch_id)

    @property
    def batches(self) -> str:
        """The batches that have not ended."""
        return self.key("batches")

    @property
    def deleting(self) -> str:
        """The objects that are being deleted."""
        return self.key("deleting")

    @property
    def signing_key(self) -> str:
        """What the addresses of objects in a folder are signed with."""
        return self.key("signing_key")

    @property
    def deliveries(self) -> str:
        """The jobs whose webhook is to be told."""
        return self.key("deliveries")

    @property
    def couriers(self) -> str:
        """The couriers by their last sign of life."""
        return self.key("couriers")

    @property
    def webhook_secrets(self) -> str:
        """What signs webhooks."""
        return self.key("webhook_secrets")

    @property
    def open_webhook(self) -> str:
        """Whether callers without a key have such a secret."""
        return self.key("open_webhook")

    @property
    def eta_error(self) -> str:
        """By how much predicted ends are missed."""
        return self.key("eta_error")

    @property
    def leases(self) -> str:
        """The running jobs by the end of their lease."""
        return self.key("leases")

    @property
    def models(self) -> str:
        """The models that a worker has ever served or a job was ever queued for."""
        return self.key("models")

    @property
    def done(self) -> str:
        """The stream of jobs that have ended."""
        return self.key("done")

    @property
    def moved(self) -> str:
        """The stream of jobs that started or were requeued."""
        return self.key("moved")

    @property
    def dead(self) -> str:
        """The stream of jobs whose workers were lost too often."""
        return self.key("dead")

    def doorbell(self, model: str, needs: int = 1) -> str:
        """The Celery queue of a model's doorbells, for jobs that need this version of the params."""
        return self.key("ring", model if needs == 1 else f"{model}@{needs}")
