# The HTTP process, and the courier. From the top of the tree: docker build -f deploy/api.Dockerfile -t darkroom-api .

FROM python:3.11-slim AS build
# Where else pip may look, if that is needed: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/darkroom
ENV PATH=/opt/darkroom/bin:$PATH
WORKDIR /build
# What is depended on comes first, so that a change of the code does not install it again.
COPY pyproject.toml constraints.txt ./
RUN touch README.md LICENSE \
    && pip install --constraint constraints.txt '.[tracing]'
COPY . .
RUN pip install --no-deps --force-reinstall .

FROM python:3.11-slim
# A new volume that is mounted there has the owner of that folder: the results that are asked for as URLs.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp darkroom \
    && install --directory --owner darkroom --group darkroom /var/lib/darkroom/results
COPY --from=build /opt/darkroom /opt/darkroom
WORKDIR /srv/darkroom
# The catalogue, and the shipped model beside it: a folder that the catalogue names must be there, as it says
# which models are offered. The API reads none of the weights.
COPY models models
COPY deploy/api_alive.py deploy/courier_alive.py ./
ENV PATH=/opt/darkroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HF_HOME=/var/cache/huggingface \
    DARKROOM_MODELS__CATALOGUE=/srv/darkroom/models/catalog.toml \
    DARKROOM_API__HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "api"]
