# syntax=docker/dockerfile:1
# docker build -t moorline:0.1.0 .          docs/operations.md says how to run it.

# The binaries, by the command that also makes releases: static, so that the image needs nothing else.
FROM rust:1.95-bookworm AS build
# The builder of the engine says for which processor; one that says nothing builds for its own.
ARG TARGETARCH
WORKDIR /moorline
COPY . .
RUN set -eu; \
    case "${TARGETARCH:-$(dpkg --print-architecture)}" in amd64) arch=x86-64; target=x86_64 ;; arm64) arch=aarch64; target=aarch64 ;; *) exit 1 ;; esac; \
    rustup target add "$target-unknown-linux-musl"; \
    cargo xtask dist --arch "$arch"; \
    mkdir -p /image/data; \
    cp target/dist/moorline-*-"$target"-unknown-linux-musl/moorline-server /image/; \
    cp target/dist/moorline-*-"$target"-unknown-linux-musl/moorline /image/; \
    cp target/dist/moorline-*-"$target"-unknown-linux-musl/LICENSE-* /image/; \
    chown 65532:65532 /image/data; \
    chmod 700 /image/data

# No shell, no package manager, no libraries, no root.
FROM scratch
LABEL org.opencontainers.image.title="Moorline" \
      org.opencontainers.image.description="A real-time messaging server with an embedded durable log" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /image/ /
ENV MOORLINE_LISTEN=0.0.0.0:8000 \
    MOORLINE_HTTP_LISTEN=0.0.0.0:8080 \
    MOORLINE_CONFIG=/etc/moorline/moorline.toml \
    MOORLINE_DATA=/data \
    MOORLINE_LOG_FORMAT=json
USER 65532:65532
VOLUME ["/data"]
EXPOSE 8000 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=5m --retries=3 \
    CMD ["/moorline-server", "health"]
ENTRYPOINT ["/moorline-server"]
