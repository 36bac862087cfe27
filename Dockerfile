# syntax=docker/dockerfile:1
# Hilum with all its roles; the first argument is the command (serve, listen, work, deliver, …).

FROM python:3.11-slim-bookworm AS build
# Extras of pyproject.toml: postgres, and as needed s3, ray, gpu for a worker on an NVIDIA GPU.
ARG EXTRAS=postgres
WORKDIR /src
RUN python -m venv /opt/hilum
COPY constraints.txt pyproject.toml README.md LICENSE codes.py hilum.py metrics.py ./
COPY settings settings
COPY audit audit
COPY db db
COPY cluster cluster
COPY commands commands
COPY console console
COPY scp_service scp_service
COPY inference inference
COPY training training
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/hilum/bin/pip install --disable-pip-version-check -c constraints.txt ".[${EXTRAS}]"

FROM python:3.11-slim-bookworm
# The last line is for login shells, which set PATH anew: KubeRay may start Ray by one.
RUN useradd --system --uid 10001 --home-dir /var/lib/hilum --shell /usr/sbin/nologin hilum \
    && install -d -o hilum -g hilum -m 0700 /var/lib/hilum \
    && echo 'PATH=/opt/hilum/bin:$PATH' > /etc/profile.d/hilum.sh
COPY --from=build /opt/hilum /opt/hilum
ENV PATH=/opt/hilum/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HILUM_DATA_DIR=/var/lib/hilum
USER 10001
WORKDIR /var/lib/hilum
VOLUME /var/lib/hilum
EXPOSE 11112
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
    CMD ["hilum", "echo"]
ENTRYPOINT ["hilum"]
CMD ["serve"]
