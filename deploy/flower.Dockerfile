# Flower, for docker-compose.flower.yml. From the top of the tree: docker build -f deploy/flower.Dockerfile .
# It has nothing of the service in it: the broker's address is all that it is told.

FROM python:3.11-slim AS build
# Where else pip may look, if that is needed: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/flower
ENV PATH=/opt/flower/bin:$PATH
WORKDIR /build
COPY constraints.txt ./
RUN pip install --constraint constraints.txt flower 'celery[redis]'

FROM python:3.11-slim
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp flower
COPY --from=build /opt/flower /opt/flower
# It shows, and changes nothing. Workers send their events unasked, and refuse to be told.
ENV PATH=/opt/flower/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    FLOWER_READ_ONLY=true \
    FLOWER_ENABLE_EVENTS=false \
    FLOWER_MAX_TASKS=5000
USER 10001:10001
EXPOSE 5555
CMD ["celery", "flower"]
