# The worker on one device. From the top of the tree: docker build -f deploy/worker.Dockerfile -t darkroom-worker .

FROM python:3.11-slim AS build
# The pin of torch admits the CUDA and the CPU build. By default pip finds the CUDA build, which also runs on a
# CPU but is some gigabytes large; an index that has the CPU build: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
# torch,tracing,moderation looks at pictures too: docs/moderation.md
ARG EXTRAS=torch,tracing
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/darkroom
ENV PATH=/opt/darkroom/bin:$PATH
WORKDIR /build
# What is depended on comes first, so that a change of the code does not install it again.
COPY pyproject.toml constraints.txt ./
RUN touch README.md LICENSE \
    && pip install --constraint constraints.txt ".[${EXTRAS}]"
COPY . .
RUN pip install --no-deps --force-reinstall .

FROM python:3.11-slim
# A new volume that is mounted there has the owner of that folder: the results that are asked for as URLs.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp darkroom \
    && install --directory --owner darkroom --group darkroom /var/lib/darkroom/results
COPY --from=build /opt/darkroom /opt/darkroom
WORKDIR /srv/darkroom
COPY models models
COPY deploy/worker_alive.py ./
# A running service downloads nothing: what the Hugging Face cache does not hold is off.
ENV PATH=/opt/darkroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/var/cache/huggingface \
    HF_HUB_OFFLINE=1 \
    DARKROOM_MODELS__CATALOGUE=/srv/darkroom/models/catalog.toml
USER 10001:10001
CMD ["celery", "-A", "worker.main", "worker"]
