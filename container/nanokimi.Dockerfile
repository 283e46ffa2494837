# The orchestrator: `nanokimi`. Its folder and the engine's socket are mounted into it:
#
#   docker run -v "$PWD:$PWD" -w "$PWD" -v /var/run/docker.sock:/var/run/docker.sock \
#     --user "$(id -u):$(getent group docker | cut -d: -f3)" nanokimi run
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN apt-get -o Acquire::Retries=3 update \
    && apt-get -o Acquire::Retries=3 install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && { ! getent passwd 1000 || userdel --remove "$(id --name --user 1000)"; } \
    && useradd --uid 1000 --user-group --create-home --home-dir /var/lib/nanokimi --shell /usr/sbin/nologin nanokimi

ENV HOME=/var/lib/nanokimi \
    LANG=C.UTF-8
WORKDIR /var/lib/nanokimi
ENTRYPOINT ["tini", "-s", "--", "nanokimi"]
CMD ["run"]

COPY nanokimi /usr/local/bin/nanokimi
USER nanokimi
