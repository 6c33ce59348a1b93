{{/* Names, labels and the image. */}}

{{- define "nfmeter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "nfmeter.fullname" -}}
{{- $name := include "nfmeter.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "nfmeter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nfmeter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nfmeter.labels" -}}
{{ include "nfmeter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of everything: (list CONTEXT NAME-SUFFIX ANNOTATIONS [LABELS]) */}}
{{- define "nfmeter.metadata" -}}
{{- $ := index . 0 -}}
{{- $annotations := merge (dict) (index . 2 | default dict) $.Values.commonAnnotations -}}
{{- $labels := dict -}}
{{- if gt (len .) 3 }}{{ $labels = index . 3 }}{{ end -}}
name: {{ include "nfmeter.fullname" $ }}{{ index . 1 }}
namespace: {{ $.Release.Namespace }}
labels:
  {{- include "nfmeter.labels" $ | nindent 2 }}
  {{- with $labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The pods in which a server runs, in either mode. */}}
{{- define "nfmeter.podSelector" -}}
{{- if eq .Values.mode "sidecar" -}}
nfmeter-sidecar: {{ include "nfmeter.fullname" . }}
{{- else -}}
{{ include "nfmeter.selectorLabels" . }}
app.kubernetes.io/component: daemonset
{{- end }}
{{- end }}

{{- define "nfmeter.image" -}}
{{- $tag := .Values.image.tag -}}
{{- if not (or $tag .Values.image.digest) }}{{ $tag = .Chart.AppVersion }}{{ end -}}
{{- .Values.image.repository -}}
{{- with $tag }}:{{ . }}{{ end -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- define "nfmeter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "nfmeter.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* The Secret with tls.crt and tls.key. */}}
{{- define "nfmeter.tlsSecretName" -}}
{{ .Values.tls.secretName | default (printf "%s-tls" (include "nfmeter.fullname" .)) }}
{{- end }}
