{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{/* What both modes share: the server's container and its volumes. */}}

{{/* One probe: (list CONTEXT "startup"). A server that answers is alive; it
     has started, and is ready, when the kernel lets it count. The command's own
     timeout is shorter than the kubelet's, so that the reason gets into the
     event. */}}
{{- define "nfmeter.probe" -}}
{{- $kind := index . 1 -}}
{{- $probe := index (index . 0).Values.probes $kind -}}
exec:
  command:
    - /usr/bin/nfmeter
    - health
    {{- if ne $kind "liveness" }}
    - nfmeter.v1.CounterService
    {{- end }}
    - --timeout
    - {{ max 1 (sub ($probe.timeoutSeconds | int) 1) }}s
{{ toYaml $probe }}
{{- end }}

{{/* The fields of the server's container that are the same everywhere. */}}
{{- define "nfmeter.container" -}}
image: {{ include "nfmeter.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - --config
  - /etc/nfmeter/config/nfmeter.yaml
{{- $webPort := include "nfmeter.webPort" . }}
{{- if or .Values.tcp.enabled .Values.metrics.enabled $webPort }}
ports:
  {{- if .Values.tcp.enabled }}
  - name: nfmeter-grpc
    containerPort: {{ .Values.tcp.port }}
    protocol: TCP
  {{- end }}
  {{- if .Values.metrics.enabled }}
  - name: nfmeter-metrics
    containerPort: {{ .Values.metrics.port }}
    protocol: TCP
  {{- end }}
  {{- with $webPort }}
  - name: nfmeter-web
    containerPort: {{ . }}
    protocol: TCP
  {{- end }}
{{- end }}
livenessProbe:
  {{- include "nfmeter.probe" (list . "liveness") | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "nfmeter.securityContext" . | nindent 2 }}
{{- end }}

{{/* Root, since the xtables lock is root's, with two of root's rights; with a
     third where it is to listen on a port that is root's. */}}
{{- define "nfmeter.securityContext" -}}
runAsUser: 0
{{- if ne (toString .Values.socket.group) "<nil>" }}
runAsGroup: {{ .Values.socket.group | int64 }}
{{- else }}
runAsGroup: 0
{{- end }}
runAsNonRoot: false
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
  add:
    - NET_ADMIN
    {{- if not .Values.config.read_only }}
    - NET_RAW
    {{- end }}
    {{- if or (and .Values.tcp.enabled (lt (.Values.tcp.port | int) 1024)) (and .Values.metrics.enabled (lt (.Values.metrics.port | int) 1024)) }}
    - NET_BIND_SERVICE
    {{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Volumes with configuration and certificates, and where they go. Names have
     a prefix, since a sidecar's stand among those of the application. */}}
{{- define "nfmeter.configMounts" -}}
- name: nfmeter-config
  mountPath: /etc/nfmeter/config
  readOnly: true
{{- if .Values.tcp.enabled }}
- name: nfmeter-tls
  mountPath: /etc/nfmeter/tls
  readOnly: true
{{- end }}
{{- if eq (include "nfmeter.hasPolicy" .) "true" }}
- name: nfmeter-policy
  mountPath: /etc/nfmeter/policy
  readOnly: true
{{- end }}
{{- if eq (include "nfmeter.hasPlans" .) "true" }}
- name: nfmeter-plans
  mountPath: /etc/nfmeter/plans
  readOnly: true
{{- end }}
{{- end }}

{{- define "nfmeter.configVolumes" -}}
- name: nfmeter-config
  configMap:
    name: {{ include "nfmeter.fullname" . }}-config
{{- if .Values.tcp.enabled }}
# One volume, so that certificate, key and authorities change in one step.
- name: nfmeter-tls
  projected:
    defaultMode: 0400
    sources:
      - secret:
          name: {{ include "nfmeter.tlsSecretName" . }}
          items:
            - key: tls.crt
              path: tls.crt
            - key: tls.key
              path: tls.key
      - secret:
          name: {{ .Values.tls.clientCa.secretName | default (include "nfmeter.tlsSecretName" .) }}
          items:
            - key: {{ .Values.tls.clientCa.key }}
              path: ca.crt
{{- end }}
{{- if eq (include "nfmeter.hasPolicy" .) "true" }}
- name: nfmeter-policy
  configMap:
    name: {{ .Values.policy.existingConfigMap | default (printf "%s-policy" (include "nfmeter.fullname" .)) }}
{{- end }}
{{- include "nfmeter.planVolumes" . }}
{{- end }}

{{/* A new configuration takes effect at a start: new text, new pods. Plans, a
     policy and certificates are read again by the running server. */}}
{{- define "nfmeter.checksums" -}}
checksum/nfmeter-config: {{ include "nfmeter.config" . | sha256sum }}
{{- end }}
