{{- define "sentinel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "sentinel.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sentinel.labels" -}}
{{ include "sentinel.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: agent
{{- end -}}

{{- define "sentinel.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}{{ default (include "sentinel.fullname" .) .Values.serviceAccount.name }}
{{- else -}}{{ default "default" .Values.serviceAccount.name }}{{- end -}}
{{- end -}}

{{- define "sentinel.image" -}}
{{- if .Values.image.digest -}}{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}{{- end -}}
{{- end -}}

{{/* What the agent reads: the user's settings, and those that the manifest decides. */}}
{{- define "sentinel.config" -}}
{{- $own := dict "listen" (printf "%s:%v" .Values.metrics.address .Values.metrics.port) "stateDir" .Values.stateDir "events" "-" -}}
{{- if .Values.policies -}}{{- $_ := set $own "policies" (list "/etc/sentinel/policies") -}}{{- end -}}
{{- $config := deepCopy .Values.config -}}
{{- if .Values.unpin -}}{{- $config = omit $config "pin" -}}{{- end -}}
{{- toYaml (mergeOverwrite $config $own) -}}
{{- end -}}

{{/* The AppArmor profile as the annotation of before 1.30 names it. */}}
{{- define "sentinel.appArmor" -}}
{{- if eq .Values.appArmorProfile.type "Unconfined" -}}unconfined
{{- else if eq .Values.appArmorProfile.type "Localhost" -}}localhost/{{ .Values.appArmorProfile.localhostProfile }}
{{- else -}}runtime/default{{- end -}}
{{- end -}}

{{/* What confines a container beside its capabilities. Nothing but SELinux confines a privileged one. */}}
{{- define "sentinel.confinement" -}}
{{- $profiles := dict -}}
{{- if not .Values.privileged -}}
{{- $_ := set $profiles "seccompProfile" .Values.seccompProfile -}}
{{- if semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version -}}{{- $_ := set $profiles "appArmorProfile" .Values.appArmorProfile -}}{{- end -}}
{{- end -}}
{{- with .Values.seLinuxOptions -}}{{- $_ := set $profiles "seLinuxOptions" . -}}{{- end -}}
{{- if $profiles -}}{{- toYaml $profiles -}}{{- end -}}
{{- end -}}
