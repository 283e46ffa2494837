# The box of one agent run: `nanokimi-agent`, and `nanokimi-agent-kimi` with the real Kimi CLI.
# `container/build` builds both; the context is what it names there, and nothing else.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS packages

# tini is process 1: it passes signals on and buries what a tool leaves behind. Some bases have a
# user 1000 of their own.
RUN apt-get -o Acquire::Retries=3 update \
    && apt-get -o Acquire::Retries=3 install -y --no-install-recommends ca-certificates git ripgrep tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
    && { ! getent passwd 1000 || userdel --remove "$(id --name --user 1000)"; } \
    && useradd --uid 1000 --user-group --no-create-home --home-dir /home/node --shell /bin/bash node \
    && install -d -o node -g node /home/node /home/node/.kimi /workspace/group \
        /workspace/ipc /workspace/ipc/messages /workspace/ipc/tasks /workspace/ipc/input \
    && install -d /workspace/project /workspace/global /workspace/extra /workspace/env-dir \
        /workspace/credentials /run/nanokimi

# So that `docker run -i` works by hand; the orchestrator says the same again.
ENV HOME=/home/node \
    LANG=C.UTF-8 \
    NANOKIMI_GROUP_DIR=/workspace/group \
    NANOKIMI_GLOBAL_DIR=/workspace/global \
    NANOKIMI_PROJECT_DIR=/workspace/project \
    NANOKIMI_IPC_DIR=/workspace/ipc \
    NANOKIMI_CREDENTIALS=/workspace/env-dir/env \
    NANOKIMI_KIMI_LOGIN=/workspace/credentials
WORKDIR /workspace/group
# Wherever it stands below another init (`docker run --init`), it still buries the dead.
ENTRYPOINT ["tini", "-s", "--", "agent-runner"]

FROM packages AS agent
COPY agent-runner /usr/local/bin/agent-runner
USER node

FROM packages AS agent-kimi
COPY kimi-cli /opt/kimi-cli
RUN ln -s /opt/kimi-cli/kimi /usr/local/bin/kimi
COPY agent-runner /usr/local/bin/agent-runner
USER node
