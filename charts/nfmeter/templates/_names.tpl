{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
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

{{/* In quotes, as a release may be called 12 or "no". */}}
{{- define "nfmeter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nfmeter.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "nfmeter.labels" -}}
{{ include "nfmeter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Labels or annotations as YAML, each key once: (list FIRST SECOND ...), of
     which the earlier win. FIRST is YAML text. */}}
{{- define "nfmeter.merged" -}}
{{- $all := first . | fromYaml -}}
{{- range rest . }}{{ $all = merge $all (. | default dict) }}{{ end -}}
{{- toYaml $all }}
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
  {{- include "nfmeter.merged" (list (include "nfmeter.labels" $) $labels $.Values.commonLabels) | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The pods in which a server runs, in either mode. */}}
{{- define "nfmeter.podSelector" -}}
{{- if eq .Values.mode "sidecar" -}}
nfmeter-sidecar: {{ include "nfmeter.fullname" . | quote }}
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
