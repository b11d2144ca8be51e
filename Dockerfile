# Both programs in one image: `vestibule` (the gateway) and `booking-api` (the sale behind it).
#
#   docker build -t vestibule .
#   docker run --rm -p 8080:8080 vestibule demo --listen 0.0.0.0:8080 --data :memory:

FROM rust:1.89-bookworm AS build
# The cryptography of the passes is built from C and assembly.
RUN apt-get update && apt-get install -y --no-install-recommends cmake && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin vestibule --package booking-core --bin booking-api --package vestibule \
    && install -D -t /out target/release/vestibule target/release/booking-api

FROM debian:bookworm-slim
# curl asks for the health; nothing else is added.
RUN apt-get update && apt-get install -y --no-install-recommends curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home vestibule \
    && install -d -o vestibule -g vestibule -m 0700 /data /shared
COPY --from=build /out/ /usr/local/bin/
USER vestibule
# The gateway's own files; a volume, so that a new container finds its keys and, with the embedded store, its line.
ENV VESTIBULE_DATA=/data
VOLUME /data
EXPOSE 8080 8081 8082
# The health is the admin listener's. A container that runs booking-api gives its own address.
ENV HEALTH_URL=http://127.0.0.1:8081/healthz
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD curl -fsS "$HEALTH_URL" || exit 1
STOPSIGNAL SIGTERM
ENTRYPOINT ["vestibule"]
CMD ["--help"]
