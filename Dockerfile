FROM python:3.13-slim-trixie AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1

WORKDIR /build
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY src src

# The wheel is built by a tool of its own environment, which stays behind.
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --quiet --only-binary :all: --constraint constraints.txt hatchling \
    && /opt/build/bin/python -m hatchling build --target wheel --directory wheels

# The service's environment has no pip. Bytecode is checked by hash or not at all, never by the time
# of a file, which copying may change; nothing is written at run time.
RUN python -m venv --without-pip /opt/sipagent \
    && /opt/build/bin/pip --python /opt/sipagent/bin/python install --quiet --no-compile \
        --only-binary :all: --constraint constraints.txt "$(echo wheels/*.whl)[otel]" \
    && /opt/sipagent/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/sipagent/lib


FROM python:3.13-slim-trixie

ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
ARG SOURCE=unknown
ARG DOCUMENTATION=unknown

LABEL org.opencontainers.image.title="sipagent" \
      org.opencontainers.image.description="Answers phone calls with AI agents: SIP calls at the OpenAI Realtime API." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${DOCUMENTATION}" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="sipagent" \
      org.opencontainers.image.base.name="python:3.13-slim-trixie"

ENV PATH="/opt/sipagent/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PORT=8000 \
    SIPAGENT_CONFIG=/config/agents.yaml \
    SIPAGENT_DATA_DIR=/data

COPY --from=builder /opt/sipagent /opt/sipagent

# A new volume at /data takes over its owner from here.
RUN install -d -m 0755 /config \
    && install -d -m 0700 -o 65532 -g 65532 /data

WORKDIR /app
VOLUME ["/data"]
EXPOSE 8000
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["sipagent", "healthcheck"]
ENTRYPOINT ["sipagent"]
CMD ["serve"]
