{{- /* SPDX-License-Identifier: Apache-2.0 */ -}}
{{/* Values that are right one by one, but not together. Prints nothing, or
     stops with a sentence that says what to set. */}}
{{- define "nfmeter.check" -}}
{{- $v := .Values -}}
{{- if eq $v.mode "sidecar" -}}
{{- include "nfmeter.checkSidecar" . -}}
{{- else -}}
{{- include "nfmeter.checkDaemonset" . -}}
{{- end -}}
{{- if and $v.config.read_only (eq (include "nfmeter.hasPlans" .) "true") -}}
{{- fail "plans can't be applied by a server that changes nothing: set config.read_only=false, or leave plans and planConfigMaps out" -}}
{{- end -}}
{{- include "nfmeter.checkTls" . -}}
{{- include "nfmeter.checkAccess" . -}}
{{- include "nfmeter.checkMetrics" . -}}
{{- include "nfmeter.checkWeb" . -}}
{{- include "nfmeter.checkWords" . -}}
{{- include "nfmeter.checkTimes" . -}}
{{- end }}

{{/* Words whose form a schema could only show as a pattern. */}}
{{- define "nfmeter.checkWords" -}}
{{- $v := .Values -}}
{{- if not (regexMatch "^0?[0-7]{3}$" $v.socket.mode) -}}
{{- fail (printf "socket.mode '%s' is not an octal mode: set one such as \"0660\", in quotes" $v.socket.mode) -}}
{{- end -}}
{{- if and $v.image.digest (not (regexMatch "^sha256:[0-9a-f]{64}$" $v.image.digest)) -}}
{{- fail (printf "image.digest '%s' is not sha256: and 64 hexadecimal digits: copy it from the registry, or leave it empty" $v.image.digest) -}}
{{- end -}}
{{- $durations := dict "tls.reloadInterval" $v.tls.reloadInterval "tls.certManager.duration" $v.tls.certManager.duration "tls.certManager.renewBefore" $v.tls.certManager.renewBefore -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := get $v.metrics $name -}}
{{- $_ := set $durations (printf "metrics.%s.interval" $name) $monitor.interval -}}
{{- $_ := set $durations (printf "metrics.%s.scrapeTimeout" $name) $monitor.scrapeTimeout -}}
{{- end -}}
{{- range $name := list "min_snapshot_interval" "min_flow_interval" "lock_timeout" "max_lock_timeout" "tls_connection_age" "tls_connection_grace" -}}
{{- with get $v.config.limits $name }}{{ $_ := set $durations (printf "config.limits.%s" $name) . }}{{ end -}}
{{- end -}}
{{- range $name := list "records" "five_minutes" "hours" -}}
{{- with get $v.config.retention $name }}{{ $_ := set $durations (printf "config.retention.%s" $name) . }}{{ end -}}
{{- end -}}
{{- range $name, $text := $durations -}}
{{- if not (regexMatch "^([0-9]+(ms|s|m|h))+$" $text) -}}
{{- fail (printf "%s '%s' is not a duration: set one in whole numbers with their units, such as 30s, 1m30s or 24h" $name $text) -}}
{{- end -}}
{{- end -}}
{{- range $name, $path := $v.daemonset.hostPaths -}}
{{- if or (not (hasPrefix "/" $path)) (eq (clean $path) "/") -}}
{{- fail (printf "daemonset.hostPaths.%s '%s' is not a path below the root: set one such as /run/nfmeter" $name $path) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "nfmeter.checkDaemonset" -}}
{{- $v := .Values -}}
{{- if $v.resources.claims -}}
{{- fail "resources.claims name devices that the pod claims, and a pod of mode daemonset claims none: remove them" -}}
{{- end -}}
{{- if or $v.application.pod $v.application.ports -}}
{{- fail "application is deployed with a sidecar only: set mode=sidecar, or remove application.pod and application.ports" -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
{{- fail "networkPolicy has no effect on pods in the node's network, as those of mode daemonset are: set networkPolicy.enabled=false and guard tcp.port with the node's firewall" -}}
{{- end -}}
{{- if not (has (toString (dig "rollingUpdate" "maxSurge" 0 $v.daemonset.updateStrategy)) (list "0" "0%")) -}}
{{- fail "two servers can't have the socket and the state folder of one node: remove daemonset.updateStrategy.rollingUpdate.maxSurge and use maxUnavailable" -}}
{{- end -}}
{{- end }}

{{- define "nfmeter.checkSidecar" -}}
{{- $v := .Values -}}
{{- if and .Chart.IsRoot (not $v.application.pod) -}}
{{- fail "mode=sidecar runs in the pods of an application: describe one in application.pod, or make this chart a dependency of the application's chart and use the template nfmeter.sidecar (README.md shows both)" -}}
{{- end -}}
{{- with dig "audit" "file" "" $v.config -}}
{{- fail (printf "config.audit.file '%s' grows without end, and with it the pod, until the node evicts it, application included: remove it in mode sidecar, and the log has the audit" .) -}}
{{- end -}}
{{- if and $v.application.ports (not $v.application.pod) -}}
{{- fail "application.ports belong to application.pod: describe the application there, or remove them" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (not $v.application.pod) (not $v.networkPolicy.applicationPorts) -}}
{{- fail "networkPolicy would close the application's own ports: list them in networkPolicy.applicationPorts" -}}
{{- end -}}
{{- end }}

{{- define "nfmeter.checkTls" -}}
{{- $v := .Values -}}
{{- if and (gt (len $v.tcp.addresses) 1) (or (has "0.0.0.0" $v.tcp.addresses) (has "::" $v.tcp.addresses)) -}}
{{- fail "0.0.0.0 and :: are all addresses, IPv4 and IPv6, and leave none for another: set tcp.addresses to one of them alone" -}}
{{- end -}}
{{- $issued := $v.tls.certManager.enabled -}}
{{- if and $v.tcp.enabled (not $issued) (not $v.tls.secretName) -}}
{{- fail "tcp needs certificates: set tls.secretName to a Secret with tls.crt, tls.key and ca.crt, or tls.certManager.enabled=true" -}}
{{- end -}}
{{- if and (not $v.tcp.enabled) (or $issued $v.tls.secretName) -}}
{{- fail "certificates are for TCP alone: set tcp.enabled=true, or remove tls.secretName and tls.certManager.enabled" -}}
{{- end -}}
{{- if and $issued $v.tls.secretName -}}
{{- fail "tls.secretName is a Secret of yours and tls.certManager makes one: set only one of them" -}}
{{- end -}}
{{- if and $issued (not $v.tls.certManager.issuerRef.name) -}}
{{- fail "cert-manager needs to know who signs: set tls.certManager.issuerRef.name (and .kind, if it is a ClusterIssuer)" -}}
{{- end -}}
{{- end }}

{{/* What the server itself would refuse: (list NAME DURATION LEAST MOST). Prints
     nothing. */}}
{{- define "nfmeter.checkRange" -}}
{{- $time := include "nfmeter.milliseconds" (index . 1) | int64 -}}
{{- $least := include "nfmeter.milliseconds" (index . 2) | int64 -}}
{{- $most := include "nfmeter.milliseconds" (index . 3) | int64 -}}
{{- if or (lt $time $least) (gt $time $most) -}}
{{- fail (printf "%s '%s' is out of range: set one from %s to %s" (index . 0) (index . 1) (index . 2) (index . 3)) -}}
{{- end -}}
{{- end }}

{{/* Of durations that are right by their form. */}}
{{- define "nfmeter.checkTimes" -}}
{{- include "nfmeter.checkRange" (list "tls.reloadInterval" .Values.tls.reloadInterval "1s" "24h") -}}
{{- if mod (include "nfmeter.milliseconds" .Values.tls.reloadInterval | int64) 1000 -}}
{{- fail (printf "tls.reloadInterval '%s' is not of whole seconds: set one such as 30s" .Values.tls.reloadInterval) -}}
{{- end -}}
{{- $limits := .Values.config.limits -}}
{{- range $name := list "min_snapshot_interval" "min_flow_interval" "lock_timeout" "max_lock_timeout" -}}
{{- with get $limits $name -}}
{{- include "nfmeter.checkRange" (list (printf "config.limits.%s" $name) . (eq $name "min_flow_interval" | ternary "10ms" "1ms") "1h") -}}
{{- end -}}
{{- end -}}
{{- range $name := list "tls_connection_age" "tls_connection_grace" -}}
{{- with get $limits $name -}}
{{- include "nfmeter.checkRange" (list (printf "config.limits.%s" $name) . "1s" "720h") -}}
{{- end -}}
{{- end -}}
{{- range $name, $least := dict "records" "10m" "five_minutes" "1h" "hours" "1h" -}}
{{- with get $.Values.config.retention $name -}}
{{- include "nfmeter.checkRange" (list (printf "config.retention.%s" $name) . $least "876000h") -}}
{{- end -}}
{{- end -}}
{{- $lock := get $limits "lock_timeout" | default "10s" -}}
{{- $longest := get $limits "max_lock_timeout" | default "1m" -}}
{{- if gt (include "nfmeter.milliseconds" $lock | int64) (include "nfmeter.milliseconds" $longest | int64) -}}
{{- fail (printf "config.limits.lock_timeout %s is longer than config.limits.max_lock_timeout %s: set a shorter one, or both" $lock $longest) -}}
{{- end -}}
{{- $certificate := .Values.tls.certManager -}}
{{- if ge (include "nfmeter.milliseconds" $certificate.renewBefore | int64) (include "nfmeter.milliseconds" $certificate.duration | int64) -}}
{{- fail (printf "tls.certManager.renewBefore %s is not shorter than duration %s: cert-manager would renew without end; set a shorter one" $certificate.renewBefore $certificate.duration) -}}
{{- end -}}
{{- range $name := list "serviceMonitor" "podMonitor" -}}
{{- $monitor := get $.Values.metrics $name -}}
{{- if gt (include "nfmeter.milliseconds" $monitor.scrapeTimeout | int64) (include "nfmeter.milliseconds" $monitor.interval | int64) -}}
{{- fail (printf "metrics.%s.scrapeTimeout %s is longer than its interval %s: Prometheus refuses that; set a shorter one" $name $monitor.scrapeTimeout $monitor.interval) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "nfmeter.checkAccess" -}}
{{- $v := .Values -}}
{{- $policy := or (not (empty $v.policy.rules)) (not (empty $v.policy.existingConfigMap)) -}}
{{- if and $v.policy.rules $v.policy.existingConfigMap -}}
{{- fail "policy.rules and policy.existingConfigMap are two policies: set only one of them" -}}
{{- end -}}
{{- if and $v.policy.existingConfigMap $v.tcp.enabled (ne $v.tcp.role "none") -}}
{{- fail "policy.existingConfigMap is the whole policy, so tcp.role can't add to it: set tcp.role=none and write the rule into that file" -}}
{{- end -}}
{{- if and $v.tcp.enabled (eq $v.tcp.role "none") (not $policy) -}}
{{- fail "nobody could do anything over tcp: say who may do what in policy.rules, or what every client with a certificate may do in tcp.role" -}}
{{- end -}}
{{- if and (eq $v.socket.role "none") (not $policy) (or (not $v.tcp.enabled) (eq $v.tcp.role "none")) -}}
{{- fail "nobody could do anything: set socket.role to viewer, operator or admin, or say who may do what in policy.rules" -}}
{{- end -}}
{{- with dig "audit" "file" "" $v.config -}}
{{- if not (hasPrefix "/var/lib/nfmeter/" .) -}}
{{- fail (printf "config.audit.file '%s' can't be written, as the root is read-only: set one below /var/lib/nfmeter, or none for the log" .) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* How long a duration such as 1m30s is. */}}
{{- define "nfmeter.milliseconds" -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|s|m|h)" . -1 -}}
{{- $unit := regexReplaceAll "[0-9]+" . "" -}}
{{- $number := trimSuffix $unit . | int64 -}}
{{- $sum = add $sum (mul $number (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end }}

{{- define "nfmeter.checkMetrics" -}}
{{- $v := .Values -}}
{{- $m := $v.metrics -}}
{{- if not $m.enabled -}}
{{- range list "serviceMonitor" "podMonitor" "prometheusRule" "dashboard" -}}
{{- if (get $m .).enabled -}}
{{- fail (printf "metrics.%s has nothing to show without metrics: set metrics.enabled=true" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (regexMatch "^([^\\[]|\\[(!.|[^!])[^\\]]*\\])*$" $m.counters) -}}
{{- fail (printf "metrics.counters '%s' has a '[' without its ']', which no name matches: close it" $m.counters) -}}
{{- end -}}
{{- $shown := dict -}}
{{- range splitList "," $m.labels -}}
{{- $key := trim . -}}
{{- if $key -}}
{{- if not (regexMatch "^[a-z0-9._/-]{1,63}$" $key) -}}
{{- fail (printf "metrics.labels '%s': '%s' is no key of labels, which is 1 to 63 of [a-z0-9._/-]; write them with commas between" $m.labels $key) -}}
{{- end -}}
{{- $label := printf "label_%s" (regexReplaceAll "[./-]" $key "_") -}}
{{- with get $shown $label -}}
{{- fail (printf "metrics.labels shows both '%s' and '%s' as %s: leave one of them out" . $key $label) -}}
{{- end -}}
{{- $_ := set $shown $label $key -}}
{{- end -}}
{{- end -}}
{{- if gt (len $shown) 16 -}}
{{- fail (printf "metrics.labels has %d keys: name 16 at most" (len $shown)) -}}
{{- end -}}
{{- if and $m.serviceMonitor.enabled $m.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would scrape every server twice: set only one of them" -}}
{{- end -}}
{{- if and $m.enabled $v.tcp.enabled (eq ($m.port | int) ($v.tcp.port | int)) -}}
{{- fail (printf "tcp.port and metrics.port are both %d: set one of them to another" ($m.port | int)) -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled $m.enabled (not $v.networkPolicy.metricsFrom) -}}
{{- fail "networkPolicy would close metrics.port for everybody: say who scrapes in networkPolicy.metricsFrom" -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled $v.tcp.enabled (not $v.networkPolicy.from) -}}
{{- fail "networkPolicy would close tcp.port for everybody: say who comes in networkPolicy.from" -}}
{{- end -}}
{{- end }}

{{- define "nfmeter.checkWeb" -}}
{{- $v := .Values -}}
{{- $listen := $v.web.listen -}}
{{- if not (regexMatch "^$|^unix:/run/nfmeter/[^/]+$|^[^/]+:[0-9]+$" $listen) -}}
{{- fail (printf "web.listen '%s' is no place for the page: set HOST:PORT, such as 127.0.0.1:9480, or unix:/run/nfmeter/web.sock" $listen) -}}
{{- end -}}
{{- $port := regexFind "[0-9]+$" $listen | int -}}
{{- if and $listen (not (hasPrefix "unix:" $listen)) -}}
{{- if or (lt $port 1024) (gt $port 65535) -}}
{{- fail (printf "web.listen '%s' has a port that the page can't have: set one from 1024 to 65535" $listen) -}}
{{- end -}}
{{- $others := dict "tcp.port" (ternary $v.tcp.port 0 $v.tcp.enabled) "metrics.port" (ternary $v.metrics.port 0 $v.metrics.enabled) "planConfigMaps.healthPort" (ternary $v.planConfigMaps.healthPort 0 $v.planConfigMaps.enabled) -}}
{{- range $name, $other := $others -}}
{{- if eq ($other | int) $port -}}
{{- fail (printf "web.listen and %s have the port %d: set one of them to another" $name $port) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if include "nfmeter.webPort" . -}}
{{- if not $v.tcp.enabled -}}
{{- fail (printf "web.listen '%s' is reached from elsewhere, so the page takes the certificates of tcp: set tcp.enabled=true, or listen on 127.0.0.1:%d and use kubectl port-forward" $listen $port) -}}
{{- end -}}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.webFrom) -}}
{{- fail "networkPolicy would close the port of web.listen for everybody: say who comes in networkPolicy.webFrom" -}}
{{- end -}}
{{- end -}}
{{- end }}
