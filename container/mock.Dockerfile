# The mock services: `nanokimi-mock`. It hears whoever reaches its port 9100.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN apt-get -o Acquire::Retries=3 update \
    && apt-get -o Acquire::Retries=3 install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && { ! getent passwd 1000 || userdel --remove "$(id --name --user 1000)"; } \
    && useradd --uid 1000 --user-group --create-home --home-dir /var/lib/mock --shell /usr/sbin/nologin mock

ENV HOME=/var/lib/mock \
    LANG=C.UTF-8
WORKDIR /var/lib/mock
EXPOSE 9100
ENTRYPOINT ["tini", "-s", "--", "mock-server"]
CMD ["--host", "0.0.0.0", "--port", "9100"]

COPY mock-server /usr/local/bin/mock-server
USER mock
