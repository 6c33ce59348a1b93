{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{/* Plans: those of the values, and those of ConfigMaps with a label. */}}

{{- define "nfmeter.hasPlans" -}}
{{- or (not (empty .Values.plans)) .Values.planConfigMaps.enabled -}}
{{- end }}

{{/* Numbers of values are floating-point, and large ones would be written as
     1e+10: in place, and prints nothing. */}}
{{- define "nfmeter.wholeNumbers" -}}
{{- if kindIs "map" . -}}
{{- $map := . -}}
{{- range $key, $value := $map -}}
{{- if kindIs "float64" $value -}}
{{- $_ := set $map $key ($value | int64) -}}
{{- else -}}
{{- include "nfmeter.wholeNumbers" $value -}}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" . -}}
{{- range . }}{{ include "nfmeter.wholeNumbers" . }}{{ end -}}
{{- end -}}
{{- end }}

{{/* Where the server reads them. */}}
{{- define "nfmeter.planVolumes" -}}
{{- if .Values.planConfigMaps.enabled }}
- name: nfmeter-plans
  emptyDir:
    sizeLimit: 64Mi
# The token of the pod's ServiceAccount, for the one container that needs it.
- name: nfmeter-plans-token
  projected:
    defaultMode: 0444
    sources:
      - serviceAccountToken:
          path: token
          expirationSeconds: 3600
      - configMap:
          name: kube-root-ca.crt
          items:
            - key: ca.crt
              path: ca.crt
      - downwardAPI:
          items:
            - path: namespace
              fieldRef:
                fieldPath: metadata.namespace
{{- else if .Values.plans }}
- name: nfmeter-plans
  configMap:
    name: {{ include "nfmeter.fullname" . }}-plans
{{- end }}
{{- end }}

{{/* The container that copies ConfigMaps with the label to files. It is nobody,
     and has no rights but that of its token. */}}
{{- define "nfmeter.planWatcher" -}}
{{- $watcher := .Values.planConfigMaps -}}
name: nfmeter-plans
image: {{ $watcher.image.repository }}
  {{- with $watcher.image.tag }}:{{ . }}{{ end -}}
  {{- with $watcher.image.digest }}@{{ . }}{{ end }}
imagePullPolicy: {{ $watcher.image.pullPolicy }}
env:
  - name: LABEL
    value: {{ $watcher.label | quote }}
  - name: RESOURCE
    value: configmap
  - name: NAMESPACE
    value: {{ .Release.Namespace | quote }}
  - name: FOLDER
    value: /etc/nfmeter/plans
  # Two ConfigMaps may have a file of the same name.
  - name: UNIQUE_FILENAMES
    value: "true"
  - name: HEALTH_PORT
    value: {{ $watcher.healthPort | quote }}
ports:
  - name: nfmeter-plans
    containerPort: {{ $watcher.healthPort }}
    protocol: TCP
livenessProbe:
  httpGet:
    path: /healthz
    port: nfmeter-plans
  initialDelaySeconds: 10
  periodSeconds: 20
resources:
  {{- toYaml $watcher.resources | nindent 2 }}
securityContext:
  runAsUser: 65534
  runAsGroup: 65534
  runAsNonRoot: true
  privileged: false
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
  seccompProfile:
    type: RuntimeDefault
volumeMounts:
  - name: nfmeter-plans
    mountPath: /etc/nfmeter/plans
  - name: nfmeter-plans-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
{{- end }}

{{/* Whose pods the container is in. */}}
{{- define "nfmeter.planServiceAccount" -}}
{{- $pod := .Values.application.pod.spec | default dict -}}
{{- if and (eq .Values.mode "sidecar") .Values.planConfigMaps.serviceAccountName -}}
{{ .Values.planConfigMaps.serviceAccountName }}
{{- else if and (eq .Values.mode "sidecar") $pod.serviceAccountName -}}
{{ $pod.serviceAccountName }}
{{- else -}}
{{ include "nfmeter.serviceAccountName" . }}
{{- end -}}
{{- end }}
