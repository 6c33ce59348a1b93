{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{- define "nfmeter-collector.name" -}}
{{- $name := .Release.Name }}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end }}
{{- $name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "nfmeter-collector.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Metadata of an object: (list . SUFFIX LABELS). */ -}}
{{- define "nfmeter-collector.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "nfmeter-collector.name" $root }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "nfmeter-collector.selector" $root | nindent 2 }}
  app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ $root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
  {{- with index . 2 }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "nfmeter-collector.secret" -}}
{{- default (printf "%s-sink" (include "nfmeter-collector.name" .)) .Values.sink.existingSecret }}
{{- end }}
