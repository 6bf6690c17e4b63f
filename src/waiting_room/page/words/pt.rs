//! Portuguese.

use super::{Said, Sayings, Words};
use crate::waiting_room::page::numbers::{Forms, Grouping, Numbers, Plural};

pub(in super::super) const WORDS: Words = Words {
    tag: "pt",
    rtl: false,
    numbers: Numbers { group: ".", grouping: Grouping::Thousands, decimal: ",", range: "–" },
    plural: Plural::Same,
    minutes: Forms::same(" minutos"),
    hours: Forms::same(" horas"),
    said: Sayings {
        before: Said("Ainda não abriu", "Pode deixar esta página aberta: ela avança sozinha assim que abrir."),
        draw: Said(
            "Chegou a tempo",
            "Na abertura, os lugares serão sorteados entre todas as pessoas presentes. Ter chegado antes não dá vantagem.",
        ),
        stub: Said("Um momento, por favor", "Estamos reservando o seu lugar na fila."),
        drawing: Said(
            "O seu lugar está sendo sorteado",
            "Todas as pessoas presentes antes da abertura têm a mesma chance. O seu lugar aparecerá aqui em instantes.",
        ),
        queued: Said(
            "Você está na fila",
            "Há muitas pessoas aqui neste momento. Cada pessoa entra na sua vez, e esta página leva você adiante quando chegar a sua.",
        ),
        paused: Said(
            "A fila está em pausa",
            "Ninguém entra por enquanto. Não é preciso fazer nada: o seu lugar está guardado.",
        ),
        sold_out: Said("Esgotado", "Lamentamos: não sobrou nada. Se algo voltar a ficar disponível, aparecerá aqui."),
        full: Said(
            "A fila está cheia",
            "Há tantas pessoas esperando que não é possível dar mais lugares. Esta página continua tentando por você.",
        ),
        closed: Said("Encerrado", "Lamentamos: mais ninguém pode entrar. Agradecemos a visita."),
        admitted: Said("É a sua vez", "Agradecemos a espera. Pode entrar!"),
        resend: Said("É a sua vez", "O que foi enviado antes não chegou. Por favor, volte e envie de novo."),
    },
    place: "O seu lugar na fila",
    wait: "Espera estimada",
    stock: "Ainda disponíveis",
    reference: "Referência para o suporte",
    opens: "Abre em",
    not_known: "Ainda não se sabe",
    moment: "Menos de um minuto",
    units: ["d", "h", "min", "s"],
    check: "Verificar agora",
    go: "Continuar",
    back: "Voltar",
    keep: "Pode deixar esta página em segundo plano, ou fechá-la e voltar neste navegador: o seu lugar está guardado.",
    refreshes: "Esta página se atualiza sozinha.",
    stop: "Parar a atualização",
    stopped: "A atualização está parada.",
    resume: "Retomar a atualização",
    offline: "Sem conexão no momento. Continuamos tentando.",
    cookies: "Permita os cookies neste site: sem eles não é possível guardar o seu lugar.",
    progress: "Avanço na fila",
};
